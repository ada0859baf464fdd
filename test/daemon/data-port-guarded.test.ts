/** data-port.test.ts once more, with the fast path off. */
const file = './data-port.test.js?mode=guarded';
await import(file);

export {};
