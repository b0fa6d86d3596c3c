import { Transform } from 'node:stream';

/**
 * A tap reporter that passes the TAP stream through and closes with one plain line,
 * `N passed, N failed, N skipped`, counted from tap's own summary comment.
 * The exit code stays tap's: this only adds a sentence that any reader of a log understands.
 */
export default class ClosingReporter extends Transform {
  #tail = '';

  _transform(chunk, _encoding, done) {
    this.#tail = (this.#tail + chunk).slice(-4096);
    done(null, chunk);
  }

  _flush(done) {
    const summary = this.#tail.match(/^# \{ total: .*\}$/gm)?.at(-1) ?? '';
    const count = (name) => Number(summary.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0);
    this.push(`\n${count('pass')} passed, ${count('fail')} failed, ${count('skip') + count('todo')} skipped\n`);
    done();
  }
}
