// The writing thread of the least that bills: a hold and a settlement a request, an account's sums once a batch, all durable at its commit.
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';

const db = new Database(workerData);
for (const pragma of ['synchronous = FULL', 'wal_autocheckpoint = 4000']) db.pragma(pragma);
const begin = db.prepare('BEGIN IMMEDIATE');
const commit = db.prepare('COMMIT');
const addHold = db.prepare('INSERT INTO holds VALUES (?, ?, ?, ?)');
const endHold = db.prepare('DELETE FROM holds WHERE id = ? RETURNING amount').pluck();
const addRequest = db.prepare('INSERT INTO requests (id, account, key_id, model, prompt, completion, cost, created_ms, ended_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
const balanceOf = db.prepare('SELECT balance FROM accounts WHERE no = ?').pluck();
const addSums = db.prepare('UPDATE accounts SET balance = balance - ?, held = held + ? WHERE no = ?');

parentPort.on('message', (writes) => {
  begin.run();
  const sums = new Map();
  const answers = writes.map(([kind, id, account, ...rest]) => {
    if (!sums.has(account)) sums.set(account, { balance: balanceOf.get(account), cost: 0, held: 0 });
    const sum = sums.get(account);
    if (kind === 'hold') {
      addHold.run(id, account, ...rest);
      sum.held += rest[0];
      return undefined;
    }
    sum.held -= endHold.get(id);
    addRequest.run(id, account, ...rest);
    sum.cost += rest[4];
    return sum.balance - sum.cost;
  });
  for (const [account, { cost, held }] of sums) addSums.run(cost, held, account);
  commit.run();
  parentPort.postMessage(answers);
});
