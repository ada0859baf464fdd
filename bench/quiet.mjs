/**
 * Imported first by what starts a measurement: V8 would collect all garbage of this process 8 seconds after its start,
 * with several threads and some 10 ms on the cores that are measured. Without incremental marking it does not.
 */
import v8 from 'node:v8';

v8.setFlagsFromString('--no-incremental-marking');
