import { beginSha256, type Sha256 } from '../vault/index.ts';
import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import type { Booked } from './postings.ts';
import { big, bytes, int, rowOf, text, theRow, type Row } from './rows.ts';
import type { AuditFinding, Ledger } from './types.ts';

/**
 * The transfers' hash chain. A transaction that books transfers ends with one link over them:
 * `hash = SHA-256(hash of the link before, then each transfer's columns)`. SQLite does not notice a page that is gone or was turned
 * back; the chain tells what was changed inside, and its head, kept elsewhere, tells what is missing at the end.
 */
export const CHAIN_TABLES = `
CREATE TABLE chain (
  upto INTEGER PRIMARY KEY,                -- the last transfer of the link; it begins after that of the link before
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER chain_is_never_changed BEFORE UPDATE ON chain
  BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER chain_is_never_deleted BEFORE DELETE ON chain
  BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
`;

const NO_HASH = new Uint8Array(32);
const TRANSFERS = 'SELECT seq, kind, debit, credit, amount, reference, note, at_ms FROM transfers';

export interface ChainBooks extends Sync<Pick<Ledger, 'chainHead' | 'chainHash'>> {
  /** Adds the link over what was booked since the last one; to be called before each commit with what its transaction booked. */
  extend(booked: Booked | undefined): void;
  /** Forgets the last link: the transaction that added it may have been rolled back. */
  forgetHead(): void;
  /** Each link that does not fit its transfers, and transfers behind the last link. */
  breaks(limit: number): AuditFinding[];
}

export function createChainBooks(db: Connection): ChainBooks {
  const last = db.prepare('SELECT upto, hash FROM chain ORDER BY upto DESC LIMIT 1');
  const newest = db.prepare('SELECT coalesce(max(seq), 0) FROM transfers').pluck();
  // Read by place: with names, each row's eight would be made anew.
  const since = db.prepare(`${TRANSFERS} WHERE seq > ? ORDER BY seq`).raw();
  const add = db.prepare('INSERT INTO chain (upto, hash) VALUES (?, ?)');
  const at = db.prepare('SELECT hash FROM chain WHERE upto = ?');

  // The link that this connection added last; undefined: it is to be looked for.
  let head: { readonly upto: number; readonly hash: Uint8Array } | undefined;
  // Books that are older than the chain have transfers behind its last link until the first write of whoever opens them.
  let isLinked = false;
  const link = (upto: number, hash: Uint8Array): void => {
    add.run(upto, hash);
    head = { upto, hash };
  };
  return {
    extend(booked) {
      if (booked === undefined && isLinked) return;
      // The transfers are numbered without a gap under the write lock, so nobody else has booked any since.
      if (head !== undefined && booked?.first === head.upto + 1) return link(booked.last, after(head.hash).update(booked.text).digest());
      const before = rowOf(last.get());
      const from = before === undefined ? 0 : int(before, 'upto');
      const hash = after(before === undefined ? NO_HASH : bytes(before, 'hash'));
      if (booked?.first === from + 1) {
        link(booked.last, hash.update(booked.text).digest());
      } else {
        const upto = Number(newest.get());
        if (upto > from) {
          for (const row of since.iterate(from)) hash.update(written(transferAt(row)));
          link(upto, hash.digest());
        }
      }
      isLinked = true;
    },
    forgetHead() {
      head = undefined;
      isLinked = false;
    },
    chainHead() {
      const row = rowOf(last.get());
      return row === undefined ? undefined : { seq: big(row, 'upto'), hash: hex(bytes(row, 'hash')) };
    },
    chainHash(seq) {
      const row = rowOf(at.get(seq));
      return row === undefined ? undefined : hex(bytes(row, 'hash'));
    },
    breaks: (limit) => findBreaks(db, limit),
  };
}

function findBreaks(db: Connection, limit: number): AuditFinding[] {
  const findings: AuditFinding[] = [];
  const links = db.prepare('SELECT upto, hash FROM chain ORDER BY upto').iterate();
  let link = nextRow(links);
  let from = 0n;
  let before: Uint8Array = NO_HASH;
  let hash = after(before);
  const close = (row: Row) => {
    const expected = bytes(row, 'hash');
    const found = hash.digest();
    const upto = big(row, 'upto');
    if (hex(found) !== hex(expected) && findings.length < limit) {
      findings.push({ rule: 'I11', subject: `transfers ${from + 1n} to ${upto}`, expected: hex(expected), found: hex(found) });
    }
    from = upto;
    before = expected;
    hash = after(before);
    link = nextRow(links);
  };
  for (const row of db.prepare(`${TRANSFERS} ORDER BY seq`).raw().iterate()) {
    const transfer = transferAt(row);
    while (link !== undefined && big(link, 'upto') < big(transfer, 'seq')) close(link);
    if (link === undefined) {
      findings.push({ rule: 'I11', subject: `transfers after ${from}`, expected: 'a link', found: 'none' });
      break;
    }
    hash.update(written(transfer));
  }
  while (link !== undefined) close(link);
  return findings.slice(0, limit);
}

/** @throws TypeError where it is no row of `TRANSFERS`: a bug */
function transferAt(found: unknown): Row {
  if (!Array.isArray(found)) throw new TypeError('a row was expected');
  const [seq, kind, debit, credit, amount, reference, note, at_ms]: readonly unknown[] = found;
  return { seq, kind, debit, credit, amount, reference, note, at_ms };
}

type Whole = bigint | number;

/** What the chain hashes of a transfer: its columns, each with its length before it where it is free text, so that no two transfers come to the same bytes. */
export function transferLine(seq: Whole, kind: string, debit: Whole, credit: Whole, amount: Whole, atMs: Whole, reference: string, note: string): string {
  return `${seq} ${kind} ${debit} ${credit} ${amount} ${atMs} ${reference.length}:${reference} ${note.length}:${note}\n`;
}

function written(row: Row): string {
  return transferLine(big(row, 'seq'), text(row, 'kind'), big(row, 'debit'), big(row, 'credit'), big(row, 'amount'), big(row, 'at_ms'), text(row, 'reference'), text(row, 'note'));
}

/** A link's hash, begun: that of the link before it comes first. */
function after(before: Uint8Array): Sha256 {
  return beginSha256().update(before);
}

function nextRow(rows: Iterator<unknown>): Row | undefined {
  const next = rows.next();
  return next.done === true ? undefined : theRow(next.value);
}

function hex(hash: Uint8Array): string {
  return Buffer.from(hash).toString('hex');
}
