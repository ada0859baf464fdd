/**
 * Text of others on a terminal: names, comments and messages of a daemon may hold what a terminal
 * acts on instead of showing it. It is shown escaped, as JSON would write it, so that JSON stays
 * what it was.
 */

/** Controls, separators of lines, halves of surrogate pairs, and what turns the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu;

/** For a text that takes one line, such as a cell or a message. */
export function oneLine(text: string): string {
  return text.replace(UNPRINTABLE, escape);
}

/** For whole outputs: ends of lines and tabs stay. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (found) =>
    found === '\n' || found === '\t' ? found : escape(found),
  );
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
