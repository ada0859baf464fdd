import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import t, { type Test } from 'tap';
import {
  isAlive,
  removeWorkerFile,
  startTimeOf,
  survivors,
  writeWorkerFile,
  type WorkerRecord,
} from '../../../src/supervisor/worker-file.js';

function directory(t: Test): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-workers-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

function startProcess(t: Test): { child: ChildProcess; record: WorkerRecord } {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const { pid } = child;
  if (pid === undefined) throw new Error('not started');
  const startTime = startTimeOf(pid);
  if (startTime === null) throw new Error('not alive');
  return { child, record: { pid, startTime, listeners: [{ host: '127.0.0.1', port: 8080 }] } };
}

t.test('a disk with no room for another file', (t) => {
  const folder = directory(t);
  const startTime = startTimeOf(process.pid) ?? 0;
  const record = { pid: process.pid, startTime, listeners: [] };
  const gone = { ...record, startTime: startTime + 1 };
  writeWorkerFile(folder, [gone, gone, gone]);
  // Nothing can be written where a folder is.
  mkdirSync(path.join(folder, 'workers.json.new'));
  writeWorkerFile(folder, [record]);
  t.same(survivors(folder), [record]);
  rmSync(path.join(folder, 'workers.json'));
  t.throws(() => {
    writeWorkerFile(folder, [record]);
  });
  t.end();
});

t.test('living workers are found again with their sockets, dead ones are not', async (t) => {
  const folder = directory(t);
  const living = startProcess(t);
  const doomed = startProcess(t);
  writeWorkerFile(folder, [living.record, doomed.record]);
  t.same(survivors(folder), [living.record, doomed.record]);
  await new Promise((resolve) => {
    doomed.child.once('exit', resolve);
    doomed.child.kill('SIGKILL');
  });
  t.same(survivors(folder), [living.record]);
  removeWorkerFile(folder);
  t.same(survivors(folder), []);
});

t.test('a process that merely has the same id is none', (t) => {
  const folder = directory(t);
  const { record } = startProcess(t);
  const reused = { ...record, startTime: record.startTime - 1 };
  t.ok(isAlive(record));
  t.notOk(isAlive(reused));
  writeWorkerFile(folder, [reused]);
  t.same(survivors(folder), []);
  t.end();
});

t.test('a file of an earlier boot or a damaged one names nobody', (t) => {
  const folder = directory(t);
  const { record } = startProcess(t);
  writeWorkerFile(folder, [record]);
  const file = path.join(folder, 'workers.json');
  const content = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...content, boot: 'another' }));
  t.same(survivors(folder), []);
  writeFileSync(file, '{"boot":');
  t.same(survivors(folder), []);
  t.end();
});

t.test('a process that ended and was not reaped is not alive', async (t) => {
  // The child ends when its input does; by then the shell is a program that never waits for children.
  const shell = spawn('sh', ['-c', 'sh -c "read line" <&3 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  });
  t.teardown(() => shell.kill('SIGKILL'));
  const pid = await new Promise<number>((resolve) => {
    shell.stdout?.once('data', (chunk: Buffer) => {
      resolve(Number(chunk.toString()));
    });
  });
  const proc = (id: number, file: string): string =>
    readFileSync(`/proc/${String(id)}/${file}`, 'latin1');
  while (proc(shell.pid ?? 0, 'comm').trim() !== 'sleep') await turn();
  t.type(startTimeOf(pid), 'number');
  const input = shell.stdio[3];
  if (input instanceof Writable) input.end();
  while (!proc(pid, 'stat').includes(') Z ')) await turn();
  t.equal(startTimeOf(pid), null);
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
