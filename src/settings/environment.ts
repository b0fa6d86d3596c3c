export type Environment = Readonly<Record<string, string | undefined>>;

/** A text with its variables filled in; or, as `wrong`, what is wrong with it and the mend. */
export type Filled =
  | { readonly value: string; /** The variables that gave it something. */ readonly from: readonly string[]; readonly wrong?: never }
  | { readonly wrong: string };

const HOLE = /\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}?/g;

/**
 * Fills `${NAME}` and `${NAME:-default}` from the environment, as a shell does: the default also stands in for an empty variable.
 * `$${` is a plain `${`. A default is a plain text without braces, what a variable holds is not looked at again. `fill('${PORT:-8787}', {}).value` is "8787".
 */
export function fill(text: string, env: Environment): Filled {
  const from: string[] = [];
  let wrong: string | undefined;
  const value = text.replace(HOLE, (hole, plain?: string, name?: string, fallback?: string) => {
    if (plain !== undefined) return plain;
    if (name === undefined) {
      wrong ??= 'a variable is written ${NAME} or ${NAME:-default}. Mend it, or write $${ for a plain ${.';
      return '';
    }
    // It would end at the first brace, set or not, and leave the second one in the text.
    if (fallback?.includes('${') === true) {
      wrong ??= `the default of ${name} holds another variable, and defaults do not nest. Write a plain text there, or set ${name}.`;
      return '';
    }
    const held = env[name];
    if (held !== undefined && (held !== '' || fallback === undefined)) {
      from.push(name);
      return held;
    }
    if (fallback === undefined) {
      wrong ??= `the environment variable ${name} is not set. Set it, or give it a default: \${${name}:-default}.`;
      return hole;
    }
    return fallback;
  });
  return wrong === undefined ? { value, from } : { wrong };
}
