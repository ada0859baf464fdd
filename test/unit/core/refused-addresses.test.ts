import t from 'tap';
import { isRefusedAddress } from '../../../src/core/refused-addresses.js';

t.test('link-local, metadata and hostless addresses are refused in every spelling', (t) => {
  for (const address of [
    '169.254.169.254',
    '169.254.0.1',
    '0.0.0.0',
    '0.1.2.3',
    '224.0.0.1',
    '255.255.255.255',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '::',
    'fe80::1',
    'febf::1',
    'fe80::1%eth0',
    'ff02::1',
    'fd00:ec2::254',
    'fd00:0ec2:0:0:0:0:0:254',
    'fd20:ce::254',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    '::a9fe:a9fe',
    '64:ff9b::a9fe:a9fe',
    '::ffff:0.0.0.0',
  ]) {
    t.ok(isRefusedAddress(address), address);
  }
  t.end();
});

t.test('loopback, private and public addresses and names pass', (t) => {
  for (const address of [
    '127.0.0.1',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '169.253.255.255',
    '169.255.0.0',
    '8.8.8.8',
    '::1',
    '::ffff:127.0.0.1',
    'fc00::1',
    'fd00:ec2::253',
    '2001:db8::1',
    'gpu1',
    '',
  ]) {
    t.notOk(isRefusedAddress(address), address);
  }
  t.end();
});
