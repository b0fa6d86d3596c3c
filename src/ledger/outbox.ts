import type { Sync } from './books.ts';
import type { Connection } from './connection.ts';
import { cursorNo, pageOf } from './pages.ts';
import { int, rowOf, rowsOf, text, unless, whole, word, type Row } from './rows.ts';
import type { LifeLedger, MailKind, MailState, NewMail, OutboxMail } from './types.ts';

export type OutboxDoor = Sync<Pick<LifeLedger, 'hasDueMail' | 'takeDueMail' | 'markSent' | 'markFailed' | 'listMail'>>;

export interface OutboxBooks extends OutboxDoor {
  /** Queues a mail in the transaction of what causes it; false where that cause has queued it before. */
  queueMail(account: bigint, mail: NewMail, nowMs: number): boolean;
}

const KINDS: readonly MailKind[] = ['activation', 'expiry_30', 'expiry_7', 'deactivation'];
const STATES: readonly MailState[] = ['queued', 'sent', 'logged', 'failed'];

/** No attempt is put off for longer; a later time was written by a clock that has been set back since, and counts as due. */
const FURTHEST_MS = 86_400_000;

const MAIL = `SELECT m.seq, m.id, m.kind, a.id AS account_id, m.reference, m.recipient, m.subject, m.text, m.html, m.state, m.attempts, m.problem,
  m.created_ms, m.sent_ms FROM outbox m JOIN accounts a ON a.no = m.account`;

/**
 * The mails that are to be sent and those that were. A mail is taken, sent and marked: a crash in between leaves it queued, and
 * it goes out again when its lease ends. It then reaches its reader twice only if the crash fell between the server's answer
 * and the mark; both copies bear the same Message-ID, which is made of the mail's id.
 */
export function createOutboxBooks(db: Connection): OutboxBooks {
  const add = db.prepare(`INSERT INTO outbox (id, kind, account, reference, recipient, subject, text, html, next_ms, created_ms)
    VALUES (@id, @kind, @account, @reference, @recipient, @subject, @text, @html, @now, @now)
    ON CONFLICT (kind, account, reference) DO NOTHING`);
  const due = db.prepare(`SELECT seq FROM outbox WHERE state = 'queued' AND (next_ms <= @now OR next_ms > @furthest) ORDER BY next_ms, seq LIMIT 1`).pluck();
  const take = db.prepare('UPDATE outbox SET attempts = attempts + 1, next_ms = @next WHERE seq = @seq');
  const bySeq = db.prepare(`${MAIL} WHERE m.seq = ?`);
  // What was sent bears a live link no longer; what was logged is kept, for the log or the list is where it is read.
  const sent = db.prepare(`UPDATE outbox SET state = @as, sent_ms = @now, problem = '',
      text = CASE WHEN kind = 'activation' AND @as = 'sent' THEN '' ELSE text END, html = CASE WHEN kind = 'activation' AND @as = 'sent' THEN '' ELSE html END
    WHERE id = @id AND state = 'queued'`);
  const failed = db.prepare(`UPDATE outbox SET state = @state, next_ms = @next, problem = @problem WHERE id = @id AND state = 'queued'`);
  const list = db.prepare(`${MAIL} WHERE m.seq < @before ORDER BY m.seq DESC LIMIT @limit`);

  const nextDue = (nowMs: number): unknown => due.get({ now: whole(nowMs), furthest: whole(nowMs + FURTHEST_MS) });
  return {
    queueMail: (account, mail, nowMs) => add.run({ ...mail, account, now: whole(nowMs) }).changes === 1,
    hasDueMail: (nowMs) => nextDue(nowMs) !== undefined,
    takeDueMail({ nowMs, leaseMs }) {
      const seq = nextDue(nowMs);
      if (typeof seq !== 'bigint') return undefined;
      take.run({ seq, next: whole(nowMs + leaseMs) });
      const row = rowOf(bySeq.get(seq));
      return row === undefined ? undefined : mailIn(row);
    },
    markSent: ({ id, as, nowMs }) => void sent.run({ id, as, now: whole(nowMs) }),
    markFailed: ({ id, problem, retryAtMs }) =>
      void failed.run({ id, problem, state: retryAtMs === undefined ? 'failed' : 'queued', next: whole(retryAtMs ?? 0) }),
    listMail: ({ limit, after }) => pageOf(rowsOf(list.all({ before: cursorNo(after), limit: BigInt(limit) + 1n })), limit, mailIn),
  };
}

function mailIn(row: Row): OutboxMail {
  return {
    id: text(row, 'id'),
    kind: word(row, 'kind', KINDS),
    accountId: text(row, 'account_id'),
    reference: text(row, 'reference'),
    recipient: text(row, 'recipient'),
    subject: text(row, 'subject'),
    text: text(row, 'text'),
    html: text(row, 'html'),
    state: word(row, 'state', STATES),
    attempts: int(row, 'attempts'),
    problem: text(row, 'problem'),
    createdMs: int(row, 'created_ms'),
    sentMs: unless(int(row, 'sent_ms'), 0),
  };
}
