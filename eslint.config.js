/**
 * What the compiler does not hold: floating promises, sizes, and the direction of imports.
 * Format is prettier's job. Rules that need types run over src/ and test/; the rest of the tree is
 * in no TypeScript project of ours and gets the rules that do without.
 */
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/**
 * The rooms of src/ from the lowest up; rooms on one line are siblings. A room imports from lower lines
 * only. A type may come from a sibling, because it is gone at run time; from above nothing may come but
 * types of MEETING_PLACE.
 */
const ROOM_RANKS = [
  ['core'],
  ['config'],
  ['native'],
  ['store'],
  ['control'],
  ['auth'],
  ['telemetry'],
  ['worker', 'supervisor', 'admin'],
  ['cli'],
];

const TYPED_FILES = ['src/**/*.ts', 'test/**/*.ts'];

/** As the compiler has it: a leading underscore says that a parameter is there for its position. */
const UNUSED_WITH_UNDERSCORE = { argsIgnorePattern: '^_' };

/** Types that every room may use: where rooms that may not import each other meet. */
const MEETING_PLACE = 'control/messages\\.js$';

/** Matches relative imports of the rooms, from any depth. */
function importsOf(rooms) {
  return `^(\\.\\./)+(?!${MEETING_PLACE})(${rooms.join('|')})/`;
}

/** One entry per room, since the rule's options of several entries do not add up. */
function roomRules() {
  return ROOM_RANKS.flatMap((rooms, rank) =>
    rooms.map((room) => {
      const siblings = rooms.filter((other) => other !== room);
      const above = ROOM_RANKS.slice(rank + 1).flat();
      const patterns = [
        {
          regex: siblings.length > 0 ? importsOf(siblings) : null,
          message: `src/${room} and its siblings meet in message types of src/control.`,
          allowTypeImports: true,
        },
        {
          regex: above.length > 0 ? importsOf(above) : null,
          message: `src/${room} lies below it: imports go downhill.`,
        },
        {
          regex: above.includes('control') ? `^(\\.\\./)+${MEETING_PLACE}` : null,
          message: `src/${room} lies below src/control and may only import types of its messages.`,
          allowTypeImports: true,
        },
        {
          regex: '^(\\.\\./)+main\\.js$',
          message: 'src/main.ts starts the process; nothing imports it.',
        },
      ];
      return {
        name: `imports of src/${room}`,
        files: [`src/${room}/**/*.ts`],
        rules: {
          '@typescript-eslint/no-restricted-imports': [
            'error',
            { patterns: patterns.filter((pattern) => pattern.regex !== null) },
          ],
        },
      };
    }),
  );
}

export default defineConfig(
  {
    ignores: ['node_modules/', 'dist/', 'build/', '**/build/', '.tap/', 'pointsman-state/'],
  },
  {
    name: 'all files',
    extends: [tseslint.configs.recommended],
    rules: {
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': ['error', { max: 70 }],
      '@typescript-eslint/no-unused-vars': ['error', UNUSED_WITH_UNDERSCORE],
    },
  },
  {
    name: 'typed files',
    files: TYPED_FILES,
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.json', './tsconfig.test.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', UNUSED_WITH_UNDERSCORE],
    },
  },
  {
    name: 'sources do not print',
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**', 'src/main.ts'],
    rules: { 'no-console': 'error' },
  },
  ...roomRules(),
  {
    name: 'tests',
    files: ['test/**/*.ts'],
    rules: {
      // A subtest is one function, and its length says nothing of its difficulty.
      'max-lines-per-function': 'off',
      // tap runs subtests in order and collects their failures itself; nobody awaits them.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafePromises: [
            { from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' },
          ],
        },
      ],
    },
  },
);
