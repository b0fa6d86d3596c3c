/** H: malformed HTTP/1.1, each row of the table on a connection of its own, with another request behind it. */
import { MALFORMED, type Malformed } from './conformance-table.ts';
import { furnish, startDaemon, type Daemon, type Program } from './machine.ts';
import { scriptYaml, startScript } from './script.ts';
import { answersIn, sendRaw } from './sockets.ts';
import type { Verdicts } from './verdict.ts';

/** Says that it does not hang; the machine may have much else to do. */
const LIMIT_MS = 8_000;
const BEHIND = 'GET /healthz?behind HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n';

export async function runConformance(program: Program, verdicts: Verdicts): Promise<{ readonly cases: number }> {
  const script = await startScript();
  const home = await furnish({ yaml: scriptYaml(script.provider.url), madeBy: program });
  const daemon = await startDaemon(program, home);
  try {
    for (const row of MALFORMED) {
      const wrong = await wrongIn(daemon, row);
      verdicts.that('H', `RFC ${row.source}: ${row.what}`, wrong === '', wrong);
    }
    verdicts.equal('H', 'no provider was asked', script.log.length, 0);
    verdicts.equal('H', 'the daemon lived through all of it', await daemon.end('SIGTERM'), 0);
    return { cases: MALFORMED.length };
  } finally {
    await daemon.end('SIGKILL');
    await script.close();
    home.remove();
  }
}

/** What differs from what the row wants; empty where nothing does. */
async function wrongIn(daemon: Daemon, { bytes, wanted }: Malformed): Promise<string> {
  const head = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1');
  const told = await sendRaw({ port: daemon.port, bytes: Buffer.concat([head, Buffer.from(BEHIND)]), limitMs: LIMIT_MS, enough: (text) => answersIn(text).length >= 2 });
  const answers = answersIn(told.text);
  const isRefused = told.status >= 400;
  const seen = `${answers.length} answers, the first ${told.status} ${told.code}, ${told.closed ? 'closed' : 'left open'} after ${Math.round(told.ms)} ms`;
  if (told.status === 0 && !told.closed) return `it hangs: ${seen}`;
  if (isRefused && !/"error":\{"message"/.test(told.text)) return `not our form of an error: ${seen}`;
  const alive = await sendRaw({ port: daemon.port, bytes: BEHIND, limitMs: LIMIT_MS });
  if (alive.status !== 200) return `and the next one is answered ${alive.status}`;
  // What only our own rules refuse (a length that is right, a key that is missing) leaves no doubt where the next request begins.
  if (wanted === 'refused') return isRefused && answers.length === 1 && told.closed ? '' : `must be refused: ${seen}`;
  if (wanted === 'served') return told.status < 300 && answers.length === 2 ? '' : `must be served: ${seen}`;
  return (answers.length === 1 && told.closed) || answers.length === 2 ? '' : seen;
}
