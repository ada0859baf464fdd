/**
 * How much slower and larger than usual the daemon under test is: 1, or what tools/asan.mjs says of an addon built with
 * sanitizers. Bounds of time and memory that such a daemon cannot keep are multiplied by it; what was promised is tested
 * without it.
 */
const given = Number(process.env['POINTSMAN_TEST_SLOWNESS'] ?? '1');

export const SLOWNESS = given >= 1 ? given : 1;
