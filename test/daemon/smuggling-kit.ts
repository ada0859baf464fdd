/** What generators of gadgets have in common; smuggling-gadgets.ts says what a gadget is. */
export interface Gadget {
  readonly title: string;
  readonly bytes: string;
  readonly body: string | null;
}

export interface GadgetSetting {
  /** Path of the endpoint that gets the message. */
  readonly path: string;
  /** A whole request that must never be executed. */
  readonly hidden: string;
  /** The Authorization line, without CRLF. */
  readonly auth: string;
}

export const CONTROL = [
  '\0',
  '\x01',
  '\x08',
  '\x0b',
  '\x0c',
  '\x1f',
  '\x7f',
  '\x80',
  '\x85',
  '\xa0',
  '\xff',
];

export function head(setting: GadgetSetting, lines: readonly string[]): string {
  const start = [`POST ${setting.path} HTTP/1.1`, 'Host: router', setting.auth];
  return `${[...start, ...lines].join('\r\n')}\r\n\r\n`;
}

export function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
