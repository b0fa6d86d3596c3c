import { appendFileSync } from 'node:fs';
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

// Preloaded with `node --import`: every ES module that the process loads is noted, one address a line, in the file TRACE_LOADS.
// Node runs the hook below in a thread of its own, where this file is loaded a second time and must not register again.
if (isMainThread) register(import.meta.url);

/** Node's module hook. */
export async function load(url, context, nextLoad) {
  appendFileSync(process.env.TRACE_LOADS, `${url}\n`);
  return nextLoad(url, context);
}
