import { setFlagsFromString } from 'node:v8';

/**
 * How far V8 lets the heap grow over what the last large collection left, in percent. Left to itself it takes anything from 10 % to fourfold,
 * by how fast the machine happened to be, and resident memory swings by tens of megabytes with the load of others. What is here
 * costs nothing on a machine at rest, for there V8 chooses about as much, and it holds on one that has much else to do.
 */
const GROWTH_PERCENT = 50;

/** Bounds the heap's waves, for this process and the threads that it starts. */
export function steadyHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
