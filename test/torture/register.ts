/**
 * Every numbered item of the list of hazards, and the test that tries it. What is not tried says why. `test/hazards.test.ts` proves
 * that no number is missing and that each cited text stands in its file.
 */

export interface Item {
  readonly id: string;
  /** Below `test/`. */
  readonly file: string;
  /** A text of that file that names the trial; the number itself where left out. */
  readonly says?: string;
  /** Why it is not tried, or not wholly. */
  readonly not?: string;
}

/** How many numbers each letter has in the list. */
export const NUMBERS: Readonly<Record<string, number>> = { K: 11, S: 14, C: 8, U: 36, SSE: 9, E: 26, W: 16, N: 12, O: 14, R: 14, I: 12 };

/** Numbers that stand in a file under their own name. */
function named(file: string, letter: string, numbers: readonly number[]): readonly Item[] {
  return numbers.map((number) => ({ id: `${letter}${number}`, file }));
}

function upTo(last: number, ...without: readonly number[]): readonly number[] {
  return Array.from({ length: last }, (_, at) => at + 1).filter((number) => !without.includes(number));
}

const told = (id: string, file: string, says: string): Item => ({ id, file, says });

export const REGISTER: readonly Item[] = [
  ...named('torture/kills.ts', 'K', upTo(10, 9)),
  told('K9', 'webhooks.test.ts', 'W16: killed in the handler'),
  ...named('torture/fsyncs.ts', 'K', [11]),

  ...named('ledger-storage.test.ts', 'S', [1, 2, 3, 11, 12]),
  ...named('torture/storage.ts', 'S', [4, 5, 6, 7, 8, 9]),
  ...named('operations.test.ts', 'S', [10]),
  told('S13', 'cli-copies.test.ts', 'a backup is one moment of the books while others write'),
  { id: 'S14', file: 'bench/audit.ts', says: 'audit', not: 'a figure, not a fault: `npm run bench:audit` measures a million transfers' },

  ...named('torture/clock.ts', 'C', upTo(6)),
  told('C7', 'expiry.test.ts', 'a year without activity: two notices, then the credits are gone, each to the second and once'),
  told('C8', 'webhooks.test.ts', 'W5, W6: 299 s either way is accepted, 301 s is not'),

  ...named('torture/fault-table.ts', 'U', upTo(36, 35)),
  ...named('torture/upstream-faults.ts', 'U', [35]),

  told('SSE1', 'wire-scanner.test.ts', 'an event is the same however its bytes are cut'),
  told('SSE2', 'wire-scanner.test.ts', 'two cuts anywhere make no difference to mixed line ends'),
  told('SSE3', 'wire-scanner.test.ts', 'recorded streams are the same whole, cut at every byte, and with other line ends'),
  told('SSE4', 'wire-scanner.test.ts', 'a byte order mark at the start is none of the data'),
  told('SSE5', 'wire-scanner.test.ts', 'comments and blank lines are no events'),
  told('SSE6', 'wire-scanner.test.ts', 'several lines are one text; one space belongs to the colon'),
  told('SSE7', 'wire-scanner.test.ts', 'an event is the same however its bytes are cut'),
  told('SSE8', 'wire-scanner.test.ts', 'a long event and many short ones cost what they weigh'),
  told('SSE9', 'wire-scanner.test.ts', 'no space after the colon'),

  ...named('torture/client-faults.ts', 'E', [...upTo(8, 6), 20, 21]),
  ...named('torture/slow-readers.ts', 'E', [6]),
  ...named('torture/client-table.ts', 'E', upTo(26, 1, 2, 3, 4, 5, 6, 7, 8, 20, 21)),

  ...named('webhooks.test.ts', 'W', upTo(16)),

  ...named('torture/concurrency.ts', 'N', upTo(11)),
  ...named('torture/soak.ts', 'N', [12]),

  ...named('operations.test.ts', 'O', [1, 2, 5, 11, 12, 14]),
  told('O3', 'cli-operations.test.ts', 'a running daemon follows a reload and a new master key'),
  told('O4', 'daemon.test.ts', 'one daemon a database, and what stands in the way is told with its mend'),
  told('O6', 'ledger.test.ts', 'a reader cannot migrate'),
  { id: 'O7', file: 'ledger-storage.test.ts', says: 'books of every schema there was are brought up to date, and add up', not: 'interrupted by kills at chance moments (K8) and not after each statement: a migration is one transaction' },
  told('O8', 'ledger.test.ts', 'the daemon least of all'),
  told('O9', 'vault.test.ts', 'another key in the recorded place is refused while anything is sealed'),
  told('O10', 'vault-keyring.test.ts', 'a Secret Service that never answers is waited for 3 s'),
  ...named('operations.test.ts', 'O', [13]),

  ...named('regressions.test.ts', 'R', upTo(14)),

  ...named('torture/oracle.ts', 'I', upTo(8)),
  told('I9', 'webhooks.test.ts', 'W2: a payment that several events tell of credits once'),
  ...named('torture/oracle.ts', 'I', [10, 12]),
  told('I11', 'ledger-storage.test.ts', 'is told by the anchor, where SQLite says nothing'),
];
