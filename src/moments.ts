const MOMENT = /^(\d{4}-\d{2}-\d{2})(?:T((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?)(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?$/;

/**
 * A day or a time as ISO 8601 writes it, in Unix milliseconds; UTC where no offset says otherwise, whatever the machine's own time is.
 * Undefined for every other text, and for a day that no calendar has. `readMoment('2026-02-30')` is undefined.
 */
export function readMoment(text: string): number | undefined {
  const [, day = '', time = '00:00', offset = 'Z'] = MOMENT.exec(text) ?? [];
  const midnightMs = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(midnightMs) || new Date(midnightMs).toISOString().slice(0, 10) !== day) return undefined;
  return Date.parse(`${day}T${time}${offset}`);
}
