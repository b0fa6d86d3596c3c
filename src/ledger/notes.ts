import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { int, rowOf, text, whole } from './rows.ts';
import type { Ledger } from './types.ts';

export type NoteBooks = Sync<Pick<Ledger, 'note' | 'setNote' | 'noteOnce' | 'publish' | 'daemonState'>>;

/** Small facts about the installation, and what the daemon says of itself. */
export function createNoteBooks(db: Connection): NoteBooks {
  const read = db.prepare('SELECT value FROM notes WHERE name = ?').pluck();
  const write = db.prepare('INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value');
  const add = db.prepare('INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING');
  const publish = db.prepare(`INSERT INTO daemon_state (no, pid, version, url, started_ms, beat_ms, detail)
    VALUES (1, @pid, @version, @url, @started, @beat, @detail)
    ON CONFLICT (no) DO UPDATE SET pid = excluded.pid, version = excluded.version, url = excluded.url,
      started_ms = excluded.started_ms, beat_ms = excluded.beat_ms, detail = excluded.detail`);
  const state = db.prepare('SELECT pid, version, url, started_ms, beat_ms, detail FROM daemon_state');
  return {
    note(name) {
      const value = read.get(name);
      return typeof value === 'string' ? value : undefined;
    },
    setNote: (name, value) => void write.run(name, value),
    noteOnce(name, value) {
      add.run(name, value);
      return String(read.get(name));
    },
    publish: ({ pid, version, url, startedMs, beatMs, detail }) =>
      void publish.run({ pid: whole(pid), version, url, started: whole(startedMs), beat: whole(beatMs), detail }),
    daemonState() {
      const row = rowOf(state.get());
      if (row === undefined) return undefined;
      return {
        pid: int(row, 'pid'), version: text(row, 'version'), url: text(row, 'url'),
        startedMs: int(row, 'started_ms'), beatMs: int(row, 'beat_ms'), detail: text(row, 'detail'),
      };
    },
  };
}
