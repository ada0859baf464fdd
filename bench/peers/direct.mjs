/** No proxy at all: what load and replica cost by themselves, the floor of latencies. */
export const direct = {
  name: 'direct',
  missing: () => null,
  version: () => '',
  start: ({ ports }) =>
    Promise.resolve({
      port: ports.a,
      isSplit: false,
      path: '/invocations',
      headers: [],
      proxyPids: [],
      supportPids: [],
      stop: () => Promise.resolve(),
    }),
};
