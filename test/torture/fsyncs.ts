/** K11: a kill shows nothing about power cuts; the order of system calls does. Before an answer ends, its settlement is on the disk. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { call } from './calls.ts';
import { furnish, startDaemon, type Program } from './machine.ts';
import { scriptYaml, startScript } from './script.ts';
import type { Verdicts } from './verdict.ts';

const CALLS = 12;

/** Traces a daemon (`-D`: the daemon stays our own child, and takes our signals) while it answers one call after another; between two answers' ends the journal must reach the disk twice. */
export async function runFsyncs(program: Program, verdicts: Verdicts): Promise<void> {
  const what = 'the hold and the settlement reach the disk before the answer ends';
  if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) return verdicts.skip('K11', what, 'strace is missing or may not trace here');
  const script = await startScript();
  const home = await furnish({ yaml: scriptYaml(script.provider.url), madeBy: program });
  const trace = join(home.folder, 'trace.txt');
  const [key = ''] = home.keys;
  try {
    const daemon = await startDaemon(program, home, { under: ['strace', '-D', '-f', '-y', '-s', '2000', '-e', 'trace=fsync,fdatasync,write,writev,sendto,sendmsg', '-o', trace] });
    for (let turn = 0; turn < CALLS; turn += 1) await call({ url: daemon.url, key, model: 'torture-chat', stream: turn % 2 === 0, tag: `fsync-${turn}` });
    await daemon.end('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 200));
    const seen = syncsBeforeAnswers(readFileSync(trace, 'utf8'));
    const short = seen.filter((syncs) => syncs < 2).length;
    verdicts.equal('K11', what, `${seen.length} answers, ${short} of them with fewer than 2 fsyncs of the journal`, `${CALLS} answers, 0 of them with fewer than 2 fsyncs of the journal`);
  } finally {
    await script.close();
    home.remove();
  }
}

/** For every end of an answer, in order, how many syncs of the journal ended since the one before. */
function syncsBeforeAnswers(trace: string): readonly number[] {
  const counts: number[] = [];
  const under = new Set<string>();
  let syncs = 0;
  for (const line of trace.split('\n')) {
    const [thread = ''] = line.split(' ', 1);
    if (/f(data)?sync\(\d+<[^>]*-wal>/.test(line)) {
      if (line.includes('unfinished')) under.add(thread);
      else syncs += 1;
    } else if (/f(data)?sync resumed/.test(line) && under.delete(thread)) syncs += 1;
    else if (/(write|writev|sendto|sendmsg)\(\d+<(socket|TCP)/.test(line) && (line.includes('data: [DONE]') || line.includes('"object\\":\\"chat.completion\\"'))) {
      // What the provider is sent bears no answer; what the client is sent ends one.
      counts.push(syncs);
      syncs = 0;
    }
  }
  return counts;
}
