/** framing.test.ts once more, with the fast path off. */
const file = './framing.test.js?mode=guarded';
await import(file);

export {};
