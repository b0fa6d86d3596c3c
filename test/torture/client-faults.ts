/** E: clients that leave, stall, flood and lie; and what each of them pays. */
import { call, type Received } from './calls.ts';
import { BODY_LIMIT, ODD_REQUESTS } from './client-table.ts';
import { furnish, startDaemon, type Daemon, type Home, type Program } from './machine.ts';
import { readBooks, type BookedRow } from './oracle.ts';
import { costOf, frame, scriptYaml, startScript, tokensFor, usageBody, type Script } from './script.ts';
import { slowReaders } from './slow-readers.ts';
import { answersIn, openSilent, sendRaw } from './sockets.ts';
import { pause, until } from '../support/provider.ts';
import type { Verdicts } from './verdict.ts';

export interface Scene {
  readonly daemon: Daemon;
  readonly home: Home;
  readonly script: Script;
  readonly verdicts: Verdicts;
  readonly key: string;
}

/** Says that something lives, not that it is fast: the machine may have much else to do. */
const ANSWER_LIMIT_MS = 10_000;

/** @param isPatient waits out the time limits of half a minute as well */
export async function runClientFaults(program: Program, verdicts: Verdicts, isPatient: boolean): Promise<void> {
  const script = await startScript(5);
  const home = await furnish({ yaml: scriptYaml(script.provider.url), credit: '10000', madeBy: program });
  const daemon = await startDaemon(program, home);
  const scene: Scene = { daemon, home, script, verdicts, key: home.keys[0] ?? '' };
  try {
    await oddRequests(scene);
    await leavers(scene);
    await pipelined(scene);
    await old(scene);
    await slowReaders(scene, isPatient);
    await slowSenders(scene, isPatient);
    const exit = await daemon.end('SIGTERM');
    // The provider of E6 says far more than it was asked for.
    const books = readBooks(home.database, 'any');
    verdicts.equal('E', 'the books after all clients', [...books.breaks, ...(books.openHolds > 0 ? [`${books.openHolds} holds are open`] : [])].join('; ') || 'in order', 'in order');
    verdicts.equal('E', 'the daemon lived through all of it', exit, 0);
  } finally {
    await daemon.end('SIGKILL');
    await script.close();
    home.remove();
  }
}

/** E9 to E26. */
async function oddRequests({ daemon, script, verdicts, key }: Scene): Promise<void> {
  for (const { id, what, bytes, status, served, shows } of ODD_REQUESTS) {
    const before = script.log.length;
    const head = `host: 127.0.0.1\r\nauthorization: Bearer ${key}\r\n`;
    const told = await sendRaw({ port: daemon.port, bytes: bytes(head), limitMs: ANSWER_LIMIT_MS, enough: (text) => answersIn(text).length > 0 });
    const isRight = status.includes(told.status) && (shows?.test(told.text) ?? true) && !/x-injected/.test(told.text.split('\r\n\r\n')[0] ?? '');
    const isShaped = told.status < 400 || /"error":\{"message"/.test(told.text);
    const isStored = told.status >= 200 && !/cache-control: no-store/i.test(told.text);
    const isSmuggled = id === 'E24' && answersIn(told.text).length > 1;
    const wasAsked = script.log.length > before && served === undefined;
    verdicts.that(id, what, isRight && isShaped && !wasAsked && !isStored && !isSmuggled && told.ms < ANSWER_LIMIT_MS,
      `${told.status} ${told.code} after ${Math.round(told.ms)} ms${wasAsked ? ', the provider was asked' : ''}${isShaped ? '' : ', not our form of an error'}${isStored ? ', may be stored' : ''}${isSmuggled ? ', a second request got through' : ''}`);
  }
  verdicts.equal('E15', 'nothing is left of __proto__ in the next request', (await call({ url: daemon.url, key, model: 'torture-chat', stream: false, tag: 'after-proto' })).status, 200);
}

/** E1 to E5: clients that leave, at every stage. The row that each leaves behind says what it paid. */
async function leavers(scene: Scene): Promise<void> {
  const { daemon, script, verdicts, key } = scene;
  const rows = await rowCount(scene);
  const cut = openSilent(daemon.port, 1, `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"model":`);
  await pause(100);
  cut.close();
  await pause(100);
  verdicts.equal('E1', 'leaving before the body’s end leaves no row', (await rowCount(scene)) - rows, 0);

  for (const stream of [false, true]) {
    script.provider.next(() => undefined);
    const controller = new AbortController();
    const leaving = call({ url: daemon.url, key, model: 'torture-chat', stream, tag: `E2-${stream}`, signal: controller.signal });
    await until(() => script.provider.requests.some((request) => JSON.stringify(request.body).includes(`E2-${stream} `)), 5_000);
    controller.abort();
    await leaving;
    const row = await newest(scene);
    verdicts.equal('E2', `leaving before the first byte (${stream ? 'stream' : 'whole'}) pays the prompt, estimated`, paid(row), 'aborted estimated something');
    await until(() => script.provider.requests.at(-1)?.dropped === true, 5_000);
    verdicts.equal('E2', 'and the provider is told to stop', script.provider.requests.at(-1)?.dropped, true);
  }
  const prompt = (await newest(scene)).cost;
  for (const words of [1, 2, 4]) {
    const received = await call({ url: daemon.url, key, model: 'torture-chat', stream: true, tag: `E3-${words}-slow`, until: (so) => count(so, '"content":"') > words });
    const row = await newest(scene);
    verdicts.that('E3', `leaving after ${words} words pays the prompt and the words so far`, paid(row) === 'aborted estimated something' && row.cost > prompt, `${paid(row)}: ${row.cost}, the prompt alone ${prompt}; ${count(received, '"content":"')} words came`);
  }
  script.provider.next(lateDone);
  const tag = 'E4';
  await call({ url: daemon.url, key, model: 'torture-chat', stream: true, tag, until: (so) => so.text.includes('said') });
  const last = await newest(scene);
  verdicts.that('E4', 'leaving after the usage, before [DONE], pays at most what was reported', last.cost > 0n && last.cost <= costOf(tokensFor(tag)) + prompt, `${paid(last)}: ${last.cost}`);

  const body = JSON.stringify({ model: 'torture-chat', messages: [{ role: 'user', content: 'tag:E5 x' }] });
  const half = await sendRaw({ port: daemon.port, halfClose: true, bytes: `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}` });
  const row = await newest(scene);
  verdicts.that('E5', 'closing one’s own half gets the answer or ends the request; never both a refusal and a price', half.status === 200 ? row.status === 'ok' : row.status === 'aborted', `${half.status}, ${paid(row)}`);
}

/** Says everything but `[DONE]`, which comes late. */
const lateDone = async (_request: unknown, response: { writeHead: (status: number, headers: Record<string, string>) => unknown; write: (text: string) => unknown; end: (text: string) => unknown }): Promise<void> => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(frame({ choices: [{ index: 0, delta: { content: 'said' }, finish_reason: null }] }));
  response.write(frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }));
  response.write(frame({ choices: [], usage: usageBody(tokensFor('E4')) }));
  await pause(500);
  response.end('data: [DONE]\n\n');
};

/** E20: fifty requests in one write: answered in order, each charged once. */
async function pipelined(scene: Scene): Promise<void> {
  const { daemon, verdicts, key, home } = scene;
  const bodies = Array.from({ length: 50 }, (_, at) => JSON.stringify({ model: 'torture-chat', messages: [{ role: 'user', content: `tag:E20-${at} ${'word '.repeat(300)}` }] }));
  const bytes = bodies.map((body) => `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`).join('');
  const told = await sendRaw({ port: daemon.port, bytes, limitMs: 15_000, enough: (text) => answersIn(text).length === 50 });
  const answers = answersIn(told.text);
  const { rows } = readBooks(home.database);
  const wrong = bodies.filter((_, at) => {
    const id = /x-request-id: (\S+)/i.exec(answers[at] ?? '')?.[1] ?? '';
    return rows.get(id)?.cost !== costOf(tokensFor(`E20-${at}`));
  });
  verdicts.equal('E20', 'fifty pipelined requests are answered in order, each charged once', `${answers.length} answers, ${wrong.length} out of place`, '50 answers, 0 out of place');
}

/** E21. */
async function old({ daemon, verdicts, key }: Scene): Promise<void> {
  const body = JSON.stringify({ model: 'torture-chat', messages: [{ role: 'user', content: 'tag:E21 x' }] });
  const told = await sendRaw({ port: daemon.port, enough: () => false, bytes: `POST /v1/chat/completions HTTP/1.0\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}` });
  verdicts.that('E21', 'HTTP/1.0 is answered without chunks, and closed', told.status === 200 && told.closed && !/transfer-encoding/i.test(told.text), `${told.status}, ${told.closed ? 'closed' : 'left open'}`);
}

/** E7, E8: a thousand heads that never end, a hundred bodies that never end. */
async function slowSenders({ daemon, verdicts, key }: Scene, isPatient: boolean): Promise<void> {
  const heads = openSilent(daemon.port, 1_000, 'POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ');
  const bodies = openSilent(daemon.port, 100, `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${BODY_LIMIT}\r\n\r\n{"model":`);
  const dripping = setInterval(() => heads.sockets.forEach((socket) => socket.writable && socket.write('a')), 1_000);
  await pause(500);
  const startedMs = performance.now();
  const beside = await Promise.all(Array.from({ length: 50 }, (_, at) => call({ url: daemon.url, key, model: 'torture-chat', stream: true, tag: `E7-${at}` })));
  const ms = Math.round(performance.now() - startedMs);
  verdicts.that('E7', 'a thousand slow heads and a hundred slow bodies disturb no stream beside them', beside.every(({ whole }) => whole) && ms < ANSWER_LIMIT_MS, `50 streams beside them took ${ms} ms`);
  await until(() => heads.closed() === 1_000, 16_000);
  verdicts.equal('E7', 'slow heads are cut off after 10 s', heads.closed(), 1_000);
  if (isPatient) {
    await until(() => bodies.closed() === 100, 35_000);
    verdicts.equal('E8', 'slow bodies are cut off after 30 s', bodies.closed(), 100);
  } else verdicts.skip('E8', 'slow bodies are cut off after 30 s', 'waits half a minute: in the long form only');
  clearInterval(dripping);
  heads.close();
  bodies.close();
}

function paid(row: BookedRow): string {
  return `${row.status} ${row.origin} ${row.cost > 0n ? 'something' : 'nothing'}`;
}

function count({ text }: Received, part: string): number {
  return text.split(part).length - 1;
}

async function rowCount({ home }: Scene): Promise<number> {
  await until(() => readBooks(home.database).openHolds === 0, 5_000);
  return readBooks(home.database).rows.size;
}

async function newest(scene: Scene): Promise<BookedRow> {
  await pause(50);
  await rowCount(scene);
  const row = [...readBooks(scene.home.database).rows.values()].at(-1);
  if (row === undefined) throw new Error('the books are empty');
  return row;
}
