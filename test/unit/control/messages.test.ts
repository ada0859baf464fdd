/**
 * What proto/control.proto says is said again by hand: by the shapes of src/control/messages.ts, and by the numbers of
 * the fields that native code reads and writes. Read from the sources.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import t from 'tap';
import {
  decodeEnvelope,
  encodeFrame,
  envelopeIn,
  Protocol,
  WorkerMode,
} from '../../../src/control/messages.js';
import { projectFile } from '../project-file.js';

const SHAPE_FILES = ['src/control/messages.ts', 'src/store/identity-tables.ts'];
const READER_FILES = ['envelope_field.h', 'snapshot_builder.cc', 'control_link.cc'].map(
  (file) => `native/net/${file}`,
);
const ENVELOPE = 'Envelope';
const NUMBER_TYPES = ['uint32', 'uint64', 'double'];
const OTHER_TYPES: Readonly<Record<string, string>> = { bool: 'boolean', bytes: 'Uint8Array' };

/** The message whose fields a namespace numbers. */
const NAMESPACES: Readonly<Record<string, string>> = {
  envelope_field: ENVELOPE,
  prepare_field: 'Prepare',
  delta_field: 'SnapshotDelta',
  endpoint_field: 'EndpointRoutes',
  entity_field: 'EntityRoute',
  deployment_field: 'DeploymentSpec',
  header_field: 'Field',
  addresses_field: 'DeploymentAddresses',
  address_field: 'Address',
  prepared_field: 'Prepared',
  discard_field: 'Discard',
};
/** Of those messages, what an engine has no use for. */
const NOT_READ: Readonly<Record<string, readonly string[]>> = { EndpointRoutes: ['configVersion'] };
const NATIVE_MESSAGES = ['prepare', 'prepared', 'addresses', 'discard'];

const root = protobuf.loadSync(projectFile('proto/control.proto'));
root.resolveAll();
const namespace = root.lookup('pointsman.control') as protobuf.Namespace;
const messages = namespace.nestedArray.filter((one) => one instanceof protobuf.Type);

function source(path: string): string {
  return readFileSync(projectFile(path), 'utf8')
    .replace(/\/\*[^]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '');
}

/** `name: type;` of the members of an interface or of a shape in braces. */
function membersOf(body: string): Record<string, string> {
  const members = [...body.matchAll(/(\w+)\??: ([^;{]+|\{[^}]*\})(?:;|$)/g)];
  return Object.fromEntries(members.map(([, name, type]) => [name ?? '', (type ?? '').trim()]));
}

function interfacesIn(path: string): Record<string, Record<string, string>> {
  const found = [...source(path).matchAll(/^export interface (\w+) \{\n([^]*?)^\}/gm)];
  return Object.fromEntries(found.map(([, name, body]) => [name ?? '', membersOf(body ?? '')]));
}

/** How TypeScript writes the type of a field. */
function typeOf(field: protobuf.Field): string {
  const one = NUMBER_TYPES.includes(field.type)
    ? 'number'
    : (OTHER_TYPES[field.type] ?? field.type);
  return field.repeated ? `${one}[]` : one;
}

function shapeOf(message: protobuf.Type): Record<string, string> {
  return Object.fromEntries(message.fieldsArray.map((field) => [field.name, typeOf(field)]));
}

t.test('the shapes are those of the messages', (t) => {
  const shapes = Object.assign({}, ...SHAPE_FILES.map(interfacesIn)) as ReturnType<
    typeof interfacesIn
  >;
  const body = shapes[ENVELOPE] ?? {};
  // Small messages have no name in TypeScript.
  const inEnvelope = new Map(
    namespace
      .lookupType(ENVELOPE)
      .fieldsArray.map((field) => [field.type, body[field.name] ?? 'missing']),
  );
  for (const message of messages) {
    const { name } = message;
    if (name === ENVELOPE) {
      const keys = message.fieldsArray.map((field) => field.name);
      t.same(Object.keys(body).sort(), keys.sort(), name);
      continue;
    }
    const unnamed = inEnvelope.get(name);
    if (unnamed !== undefined && unnamed !== name) {
      const isEmpty = unnamed === 'Record<string, never>';
      t.ok(isEmpty || unnamed.startsWith('{'), `${name} has a shape: ${unnamed}`);
      t.same(isEmpty ? {} : membersOf(unnamed.slice(1, -1).trim()), shapeOf(message), name);
      continue;
    }
    t.same(shapes[name], shapeOf(message), name);
  }
  t.ok(messages.length > inEnvelope.size);
  t.end();
});

t.test('names of enumerations stand for the same numbers', (t) => {
  t.same(namespace.lookupEnum('Protocol').values, Protocol);
  t.same(namespace.lookupEnum('WorkerMode').values, WorkerMode);
  t.end();
});

t.test('an engine reads fields by the numbers that they have', (t) => {
  const code = READER_FILES.map(source).join('\n');
  const namespaces = [...code.matchAll(/^namespace (?:pointsman::)?(\w+_field) \{\n([^]*?)^\}/gm)];
  t.same(namespaces.map(([, name]) => name).sort(), Object.keys(NAMESPACES).sort());
  for (const [, name, body] of namespaces) {
    const message = namespace.lookupType(NAMESPACES[name ?? ''] ?? '');
    const constants = [...(body ?? '').matchAll(/constexpr uint32_t k(\w+) = (\d+);/g)];
    const numbers = Object.fromEntries(
      constants.map(([, constant, number]) => [
        (constant ?? '').replace(/^./, (first) => first.toLowerCase()),
        Number(number),
      ]),
    );
    const notRead = NOT_READ[message.name] ?? [];
    const isRead = ({ name }: protobuf.Field): boolean =>
      message.name === ENVELOPE ? NATIVE_MESSAGES.includes(name) : !notRead.includes(name);
    const fields = message.fieldsArray.filter(isRead).map((field) => [field.name, field.id]);
    t.same(numbers, Object.fromEntries(fields), `${name ?? ''} are those of ${message.name}`);
  }
  t.equal(/kProtocolRaw = (\d+);/.exec(code)?.[1], String(Protocol.RAW));
  t.end();
});

t.test('an envelope is what its frame carries', (t) => {
  for (const { name } of namespace.lookupType(ENVELOPE).fieldsArray) {
    t.same(Object.keys(decodeEnvelope(envelopeIn(encodeFrame({ [name]: {} })))), [name]);
  }
  t.end();
});
