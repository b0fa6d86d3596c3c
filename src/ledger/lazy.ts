import type Database from 'better-sqlite3';
import type { Connection } from './connection.ts';

/** What a statement is told before it is used, and answers with itself. */
const MODES: ReadonlySet<string | symbol> = new Set(['raw', 'pluck']);

/**
 * The same connection, whose statements are compiled when they are first used. A command of the command line uses five of the
 * hundred that the books have; to compile the others would take longer than the command (2.9 of 54 ms, measured). A daemon
 * compiles them all at its start, where nobody waits for it.
 * `lazily(db).prepare('no SQL')` is a statement; its first `run` throws what `prepare` would have thrown.
 */
export function lazily(db: Connection): Connection {
  const lazy: Connection = Object.create(db);
  // Not bound to better-sqlite3's generic type: what comes out of a row is `unknown` to the books either way.
  Object.defineProperty(lazy, 'prepare', { value: (sql: string) => statementOf(() => db.prepare(sql)) });
  return lazy;
}

function statementOf(prepare: () => Database.Statement): Database.Statement {
  const modes: (string | symbol)[] = [];
  let made: Database.Statement | undefined;
  const compiled = (): Database.Statement => {
    if (made === undefined) {
      const statement = prepare();
      for (const mode of modes) Reflect.apply(Reflect.get(statement, mode), statement, []);
      made = statement;
    }
    return made;
  };
  const lazy: Database.Statement = new Proxy<Database.Statement>(Object.create(null), {
    get(_target, name) {
      if (made === undefined && MODES.has(name)) {
        return () => {
          modes.push(name);
          return lazy;
        };
      }
      const statement = compiled();
      const value: unknown = Reflect.get(statement, name);
      return typeof value === 'function' ? value.bind(statement) : value;
    },
  });
  return lazy;
}
