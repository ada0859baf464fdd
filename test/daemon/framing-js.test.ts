/** framing.test.ts once more, without the front: what only the front can promise, the file leaves out. */
const file = './framing.test.js?mode=js';
await import(file);

export {};
