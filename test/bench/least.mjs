// The least that bills: what findtoken does for a whole answer with everything left out that can be. A key is looked up by its
// hash, the request is parsed and sent on under another name, held and settled durably by a thread of its own, the answer is
// parsed, priced and told with its cost. No limits, no routing, no retries, no deadlines, no checks, no log, no metrics, no rollups,
// no chain. Where this is slower than a target, no gateway of this make can reach that on this machine.
// Arguments: port, the upstream's origin for whole answers, a file for the books.
import { hash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { Pool } from 'undici';

const HOLD_E8 = 1_000_000;
const PROMPT_E8 = 14;
const COMPLETION_E8 = 28;
const BATCH_MAX = 512;
const CLIENTS_KEY = 'Bearer least';

const [port, origin, path] = process.argv.slice(2);
const books = await openBooks(path);
const pool = new Pool(origin, { keepAliveTimeout: 600_000, pipelining: 1 });

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const key = books.find.get(hash('sha256', request.headers.authorization ?? ''));
    if (key === undefined) return response.writeHead(401).end();
    const body = JSON.parse((parts.length === 1 ? parts[0] : Buffer.concat(parts)).toString());
    const call = { id: randomUUID(), key, response, requested: body.model, createdMs: Date.now() };
    body.model = 'canned-large';
    books.write(['hold', call.id, key.account, HOLD_E8, call.requested], () => {
      const headers = ['content-type', 'application/json', 'authorization', 'Bearer canned-key'];
      pool.dispatch({ method: 'POST', path: request.url, headers, body: JSON.stringify(body) }, new Asked(call));
    });
  });
});
server.keepAliveTimeout = 600_000;
server.listen(Number(port), '127.0.0.1');

class Asked {
  #call;
  #parts = [];
  #isOver = false;

  constructor(call) {
    this.#call = call;
  }

  onConnect(abort) {
    this.#call.response.on('close', () => {
      if (!this.#isOver) abort();
    });
  }

  onHeaders() {
    return true;
  }

  onData(part) {
    this.#parts.push(part);
    return true;
  }

  onComplete() {
    this.#isOver = true;
    const answer = JSON.parse((this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts)).toString());
    const { id, key, requested, createdMs, response } = this.#call;
    const { prompt_tokens: prompt, completion_tokens: completion } = answer.usage;
    const cost = prompt * PROMPT_E8 + completion * COMPLETION_E8;
    answer.model = requested;
    books.write(['settle', id, key.account, key.id, requested, prompt, completion, cost, createdMs, Date.now()], (balance) => {
      const text = JSON.stringify(answer);
      response.writeHead(200, ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(text)), 'x-request-id', id, 'x-findtoken-cost', String(cost), 'x-findtoken-balance', String(balance)]);
      response.end(text);
    });
  }

  onError(error) {
    this.#isOver = true;
    this.#call.response.writeHead(502).end(error.message);
  }
}

/** Tables for a key, its account, holds and requests; one batch at a time on its way to the thread that writes, as in findtoken. */
async function openBooks(file) {
  const made = new Database(file);
  made.pragma('journal_mode = WAL');
  made.exec(`
    CREATE TABLE keys (hash TEXT PRIMARY KEY, id TEXT, account INTEGER) WITHOUT ROWID;
    CREATE TABLE accounts (no INTEGER PRIMARY KEY, balance INTEGER, held INTEGER);
    CREATE TABLE holds (id TEXT PRIMARY KEY, account INTEGER, amount INTEGER, model TEXT) WITHOUT ROWID;
    CREATE TABLE requests (seq INTEGER PRIMARY KEY, id TEXT, account INTEGER, key_id TEXT, model TEXT, prompt INTEGER, completion INTEGER, cost INTEGER, created_ms INTEGER, ended_ms INTEGER);
    CREATE INDEX requests_of_account ON requests (account, seq);`);
  made.prepare('INSERT INTO keys VALUES (?, ?, ?)').run(hash('sha256', CLIENTS_KEY), 'key_1', 100);
  made.prepare('INSERT INTO accounts VALUES (100, 100000000000000, 0)').run();
  made.close();
  const worker = new Worker(new URL('least-books.mjs', import.meta.url), { workerData: file });
  const waiting = [];
  let flying;
  let isDue = false;
  const look = (before) => {
    if (waiting.length > before && waiting.length < BATCH_MAX) return setImmediate(look, waiting.length);
    isDue = false;
    flying = waiting.splice(0, BATCH_MAX);
    worker.postMessage(flying.map(({ write }) => write));
  };
  const soon = () => {
    if (isDue || flying !== undefined || waiting.length === 0) return;
    isDue = true;
    setImmediate(look, 0);
  };
  worker.on('message', (answers) => {
    const landed = flying;
    flying = undefined;
    soon();
    landed.forEach(({ done }, at) => done(answers[at]));
  });
  const reader = new Database(file, { readonly: true });
  return {
    find: reader.prepare('SELECT k.id, k.account, a.balance, a.held FROM keys k JOIN accounts a ON a.no = k.account WHERE k.hash = ?'),
    write(write, done) {
      waiting.push({ write, done });
      soon();
    },
  };
}
