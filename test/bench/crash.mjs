// Exactness: the daemon is killed under load, again and again. Every answer that a client saw whole must stand in the books at the cost
// that it bore, and the rows' sum must be what the account has paid. test/torture goes further, with chosen moments and other faults.
import Database from 'better-sqlite3';
import { Agent, request } from 'node:http';
import { requestBody } from './canned.mjs';
import { freePort } from './rig.mjs';
import { startFindtoken } from './servers.mjs';

const CLIENTS = 64;
const KILLS = 5;
const USD_E8 = 100_000_000n;
const CREDIT = 100_000_000n * USD_E8;

export async function measureCrash({ rig, plan, say, origins }) {
  const kills = plan.isQuick ? 2 : KILLS;
  const server = await startFindtoken(rig, await freePort(), await origins(), { name: 'crash' });
  const answered = new Map();
  let { pid } = server;
  let exact = 0;
  const rounds = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const before = answered.size;
    const load = startClients(server, answered);
    await loaded(() => answered.size - before);
    await pause(Math.random() * 500);
    await rig.end(pid, 'SIGKILL');
    await load.stop();
    pid = await server.serve();
    const books = readBooks(server.database);
    const wrong = [...answered].filter(([id, cost]) => books.costs.get(id) !== cost).length;
    const isSound = wrong === 0 && books.spent === books.sum && books.held === 0n;
    const audit = await server.audit().then(() => true, () => false);
    if (isSound && audit) exact += 1;
    rounds.push(`${answered.size - before} answers`);
    if (!isSound || !audit) say(`\nFAILED: kill ${kill + 1}: ${wrong} answers are not in the books as they were answered; spent ${books.spent}, rows ${books.sum}, held ${books.held}, audit ${audit ? 'sound' : 'not sound'}`);
  }
  await rig.end(pid);
  say(`\nKilled under load ${kills} times, ${CLIENTS} clients, whole answers and streams (${rounds.join(', ')}): ${exact} of ${kills} times every answer stood in the books at its cost, the rows' sum was what the account had paid, no hold was left, and the audit was sound`);
  return { measures: { crash: exact / kills } };
}

/** Clients that call until they are stopped; `answered` gets each whole answer's id and cost, as its headers or its trailers say. */
function startClients({ port, paths, headers }, answered) {
  const agent = new Agent({ keepAlive: true });
  let isOver = false;
  const client = async (at) => {
    const kind = at % 4 === 0 ? 'sse' : 'json';
    while (!isOver) {
      const answer = await call({ agent, port, path: paths[kind], headers: headers(kind), kind });
      if (answer !== undefined) answered.set(answer.id, answer.cost);
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, at) => client(at));
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(clients);
      agent.destroy();
    },
  };
}

/** One call; undefined where its answer did not come whole. */
function call({ agent, port, path, headers, kind }) {
  return new Promise((resolve) => {
    const asked = request({ agent, port, path, host: '127.0.0.1', method: 'POST', headers: { 'content-type': 'application/json', ...headers } }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', () => resolve(undefined));
      answer.on('close', () => resolve(undefined));
      answer.on('end', () => {
        const cost = kind === 'sse' ? answer.trailers['x-findtoken-cost'] : answer.headers['x-findtoken-cost'];
        const isWhole = answer.complete && answer.statusCode === 200 && (kind === 'json' || Buffer.concat(parts).includes('data: [DONE]'));
        resolve(isWhole && cost !== undefined ? { id: answer.headers['x-request-id'], cost } : undefined);
      });
    });
    // A killed daemon refuses; the client would ask again at once, and often.
    asked.on('error', () => setTimeout(() => resolve(undefined), 20));
    asked.end(requestBody(kind));
  });
}

function readBooks(file) {
  const db = new Database(file, { readonly: true });
  try {
    db.defaultSafeIntegers();
    const rows = db.prepare(`SELECT id, cost FROM requests WHERE state <> 'open'`).all();
    const { sum } = db.prepare('SELECT coalesce(sum(cost), 0) AS sum FROM requests').get();
    const { balance, held } = db.prepare('SELECT balance, held FROM wallets WHERE customer = 1').get();
    return { costs: new Map(rows.map(({ id, cost }) => [id, shown(cost)])), sum, spent: CREDIT - balance, held };
  } finally {
    db.close();
  }
}

/** As a header shows it: six decimals, half up, trailing zeros trimmed down to two. */
function shown(cost) {
  const micro = (cost + 50n) / 100n;
  const decimals = String(micro % 1_000_000n).padStart(6, '0').replace(/0{1,4}$/, '');
  return `${micro / 1_000_000n}.${decimals}`;
}

/** Waits until there is enough to lose. */
async function loaded(answers) {
  for (const untilMs = Date.now() + 20_000; answers() < 200 && Date.now() < untilMs; ) await pause(20);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
