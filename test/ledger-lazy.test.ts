import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openConnection } from '../src/ledger/connection.ts';
import { lazily } from '../src/ledger/lazy.ts';

const folder = mkdtempSync(join(tmpdir(), 'findtoken-lazy-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

t.test('a statement is compiled when it is first used, once, in the mode it was told', async (t) => {
  const db = openConnection({ path: join(folder, 'lazy.db'), readonly: false });
  t.teardown(() => db.close());
  db.exec('CREATE TABLE notes (name TEXT, value INTEGER) STRICT');
  const prepared: string[] = [];
  const watched: typeof db = Object.create(db);
  Object.defineProperty(watched, 'prepare', { value: (sql: string) => (prepared.push(sql), db.prepare(sql)) });
  const lazy = lazily(watched);
  const add = lazy.prepare('INSERT INTO notes VALUES (?, ?)');
  const names = lazy.prepare('SELECT name FROM notes ORDER BY name').pluck();
  const rows = lazy.prepare('SELECT name, value FROM notes').raw();
  const wrong = lazy.prepare('SELECT value FROM nowhere');
  t.same(prepared, [], 'none yet');
  t.equal(add.run('a', 1).changes, 1);
  t.equal(add.run('b', 2).changes, 1);
  t.equal(prepared.length, 1, 'one, however often it runs');
  t.same(names.all(), ['a', 'b'], 'plucked');
  t.same([...rows.iterate()], [['a', 1n], ['b', 2n]], 'raw, and integers as bigints like everywhere');
  t.throws(() => wrong.get(), /no such table: nowhere/, 'a wrong statement is told of at its first use');
  t.equal(lazy.open, true, 'all else is the connection’s own');
  t.equal(lazy.inTransaction, false);
});
