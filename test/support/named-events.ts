/** Server-sent events that bear a name, as the other APIs tell them. */

export interface Told {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The events of a text, each of which is named as its type says. */
export function eventsOf(text: string): readonly Told[] {
  return text.split('\n\n').filter((event) => event !== '').map((event) => {
    const [name, data] = event.split('\n');
    const told: Told = JSON.parse(data?.slice('data: '.length) ?? '');
    if (name !== `event: ${told.type}`) throw new Error(`${name} is not ${told.type}`);
    return told;
  });
}
