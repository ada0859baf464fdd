/** A failure whose message is all that the user needs. */
export class BenchError extends Error {}
