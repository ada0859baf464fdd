/** The one rule for names of endpoints, served entities and deployments (reference, section 3.1). */
import { NAME_CHARS_MAX } from './limits.js';

const NAME = /^[A-Za-z0-9_-]+$/;

export function isName(text: string): boolean {
  return text.length <= NAME_CHARS_MAX && NAME.test(text);
}
