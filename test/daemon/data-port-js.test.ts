/** data-port.test.ts once more, without the front: what only the front can promise, the file leaves out. */
const file = './data-port.test.js?mode=js';
await import(file);

export {};
