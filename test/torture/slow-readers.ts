/** E6: readers that take nothing of an endless stream, and readers that take a little: each costs a bounded buffer, and its provider is held back. */
import { call } from './calls.ts';
import type { Scene } from './client-faults.ts';
import { readBooks } from './oracle.ts';
import { frame } from './script.ts';
import { openSilent } from './sockets.ts';
import { pause, until, type Answer } from '../support/provider.ts';

const STUCK = 100;
const SLOW = 100;
/**
 * 100 kB/s: such a reader is no stalled one, and is never dropped. One of a tenth of it would be: with four megabytes in the system's own buffer,
 * Linux takes nothing more of the daemon until a third of them is gone.
 */
const SIP_BYTES = 10_000;
const SIP_MS = 100;
/** With fewer pending bytes than this the daemon goes on writing. */
const LEAST_BYTES = 16_384;
/** A write more, of at most what one read of the provider's connection brings; the last event of it, the framing and the head. */
const MOST_BYTES = LEAST_BYTES + 65_536 + 16_384;
const FRAME_CHARS = 8_000;

/** What a stuck stream may still draw of its provider once everything is full: what one read of its connection brings. */
const DRAWN_BYTES = 65_536;
/**
 * Of 600 MB that pass in a minute. A heap of some 45 MiB may well grow by half before V8 looks it through; a buffer without a bound
 * would be hundreds.
 */
const FLAT_MIB = 24;
const FILLED_ROUNDS = 20;
const ANSWER_LIMIT_MS = 10_000;

interface Look {
  readonly rssMib: number;
  readonly unsentBytes: number;
  /** What the system took of the provider for stuck readers, in bytes. */
  readonly drawn: readonly number[];
}

/** @param isPatient looks for a minute instead of eight seconds, and sees the stuck ones dropped after half a minute */
export async function slowReaders(scene: Scene, isPatient: boolean): Promise<void> {
  const { daemon, script, verdicts, key } = scene;
  const readers = STUCK + SLOW;
  const drawn = new Map<string, () => number>();
  script.provider.next(...Array.from({ length: readers }, () => endless(drawn)));
  const request = (tag: string) => {
    const body = JSON.stringify({ model: 'torture-chat', stream: true, messages: [{ role: 'user', content: `tag:${tag} x` }] });
    return `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  };
  const stuck = openSilent(daemon.port, STUCK, request('E6-stuck'));
  const slow = openSilent(daemon.port, SLOW, request('E6-slow'));
  for (const socket of [...stuck.sockets, ...slow.sockets]) socket.pause();
  const sipping = setInterval(() => slow.sockets.forEach((socket) => void socket.read(SIP_BYTES)), SIP_MS);
  await until(() => drawn.get('E6-stuck') !== undefined && script.provider.requests.filter(({ body }) => JSON.stringify(body).includes('tag:E6-')).length >= readers, ANSWER_LIMIT_MS);
  await filled(drawn);

  const look = async (): Promise<Look> => ({ rssMib: daemon.vitals().rssKib / 1_024, unsentBytes: await unsentBytes(daemon.url), drawn: [...drawn].filter(([name]) => name.startsWith('E6-stuck')).map(([, bytes]) => bytes()) });
  const looks: Look[] = [await look()];
  const times = isPatient ? 20 : 8;
  for (let second = 0; second < times; second += 1) {
    await pause(1_000);
    looks.push(await look());
  }
  const startedMs = performance.now();
  const other = await call({ url: daemon.url, key, model: 'torture-chat', stream: true, tag: 'beside-E6' });
  const otherMs = Math.round(performance.now() - startedMs);
  judgeStuck(scene, looks);
  verdicts.that('E6', 'and disturb nobody', other.whole && otherMs < ANSWER_LIMIT_MS, `a stream beside them took ${otherMs} ms`);
  if (isPatient) {
    // A client that does not read does not hear that it was dropped; its provider does.
    const dropped = (tag: string) => script.provider.requests.filter(({ body, dropped: isDropped }) => isDropped && JSON.stringify(body).includes(`tag:${tag} `)).length;
    await until(() => dropped('E6-stuck') === STUCK, 30_000);
    verdicts.equal('E6', 'who takes nothing is dropped after half a minute, who takes a little is not', `${dropped('E6-stuck')} and ${dropped('E6-slow')}`, `${STUCK} and 0`);
    for (let second = 0; second < 30; second += 1) {
      await pause(1_000);
      looks.push(await look());
    }
  }
  const flat = Math.round(median(looks.slice(-4).map(({ rssMib }) => rssMib)) - median(looks.slice(0, 4).map(({ rssMib }) => rssMib)));
  verdicts.that('E6', `memory stays flat over ${isPatient ? 'a minute' : `${times} seconds`} of it`, flat < FLAT_MIB, `${flat} MiB more at the end`);
  clearInterval(sipping);
  stuck.close();
  slow.close();
  await until(() => readBooks(scene.home.database).openHolds === 0, ANSWER_LIMIT_MS);
  verdicts.equal('E6', 'and leave no hold behind', readBooks(scene.home.database).openHolds, 0);
  verdicts.equal('E6', 'and no byte', await unsentBytes(daemon.url), 0);
}

/** Held between both ends, by the daemon's own count; and what was drawn of the providers, by theirs. */
function judgeStuck({ verdicts }: Scene, looks: readonly Look[]): void {
  const readers = STUCK + SLOW;
  const each = Math.max(...looks.map(({ unsentBytes }) => unsentBytes)) / readers;
  verdicts.that('E6', `${readers} slow readers cost at most 96 KiB of buffer each`, each <= MOST_BYTES, `${Math.round(each / 1_024)} KiB each`);
  const least = Math.min(...looks.map(({ unsentBytes }) => unsentBytes)) / STUCK;
  verdicts.that('E6', 'and are slow indeed: there is something for them to take', least >= LEAST_BYTES, `${Math.round(least / 1_024)} KiB for each of those that take nothing`);
  const [first, last] = [looks[0]?.drawn ?? [], looks.at(-1)?.drawn ?? []];
  const grown = Math.max(...last.map((bytes, at) => bytes - (first[at] ?? 0)));
  verdicts.that('E6', 'the provider of one that takes nothing is held back', last.length === STUCK && grown <= DRAWN_BYTES, `${last.length} streams, of which one drew ${grown} bytes in between`);
}

/** Waits until the systems' own buffers are full, some megabytes for each connection, and nothing more is drawn. */
async function filled(drawn: ReadonlyMap<string, () => number>): Promise<void> {
  const sum = () => [...drawn].reduce((all, [name, bytes]) => all + (name.startsWith('E6-stuck') ? bytes() : 0), 0);
  let before = -1;
  await pause(500);
  for (let round = 0; round < FILLED_ROUNDS && sum() !== before; round += 1) {
    before = sum();
    await pause(1_000);
  }
}

/** Says as much as is taken, and tells how much the system has taken of it. */
function endless(drawn: Map<string, () => number>): Answer {
  return (request, response) => {
    const kind = JSON.stringify(request.body).includes('tag:E6-stuck') ? 'E6-stuck' : 'E6-slow';
    const { socket } = response;
    if (socket === null) return;
    const before = socket.bytesWritten;
    drawn.set(drawn.has(kind) ? `${kind}-${drawn.size}` : kind, () => socket.bytesWritten - socket.writableLength - before);
    const piece = frame({ choices: [{ index: 0, delta: { content: 'x'.repeat(FRAME_CHARS) }, finish_reason: null }] });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
    };
    response.on('drain', more);
    more();
  };
}

async function unsentBytes(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^findtoken_unsent_bytes (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
