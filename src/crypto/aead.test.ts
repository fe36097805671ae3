// NIST vectors (the GCM specification's test cases 13, 14 and 16 for AES-256), and what must be refused.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import { AuthenticationFailed, boxOverhead, generateKey, importKey, openBox, sealBox } from './aead.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const vectors = [
  {
    key: '00'.repeat(32),
    iv: '00'.repeat(12),
    aad: '',
    plain: '',
    cipher: '',
    tag: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    key: '00'.repeat(32),
    iv: '00'.repeat(12),
    aad: '',
    plain: '00'.repeat(16),
    cipher: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    key: 'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
    iv: 'cafebabefacedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plain:
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    cipher:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
    tag: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
]

test('opens the NIST vectors', () => {
  for (const { key, iv, aad, plain, cipher, tag } of vectors)
    assert.equal(openBox(createSecretKey(hex(key)), hex(iv + cipher + tag), hex(aad)).toString('hex'), plain)
})

test('a box opens with its key and place, behind a header, and with nothing else', () => {
  const key = generateKey()
  const box = sealBox(key, Buffer.from('plain'), Buffer.from('place'), 5)
  assert.equal(box.length, 5 + boxOverhead + 5)
  assert.equal(openBox(key, box, Buffer.from('place'), 5).toString(), 'plain')
  assert.throws(() => openBox(generateKey(), box, Buffer.from('place'), 5), AuthenticationFailed)
  assert.throws(() => openBox(key, box, Buffer.from('other'), 5), AuthenticationFailed)
  for (let at = 5; at < box.length; at++) {
    const bent = Buffer.from(box)
    bent[at] = (bent[at] as number) ^ 1
    assert.throws(() => openBox(key, bent, Buffer.from('place'), 5), AuthenticationFailed, `byte ${at}`)
  }
  for (let length = 0; length < box.length; length++)
    assert.throws(() => openBox(key, box.subarray(0, length), Buffer.from('place'), 5), AuthenticationFailed)
})

test('nonces do not repeat, also over the refill of their pool', () => {
  const key = generateKey()
  const seen = new Set<string>()
  for (let i = 0; i < 2000; i++)
    seen.add(sealBox(key, new Uint8Array(0), new Uint8Array(0)).subarray(0, 12).toString('hex'))
  assert.equal(seen.size, 2000)
})

test('importing a key zeroes the bytes it came from, and takes 32 only', () => {
  const raw = Buffer.alloc(32, 7)
  assert.equal(importKey(raw).export().toString('hex'), '07'.repeat(32))
  assert.equal(raw.toString('hex'), '00'.repeat(32))
  assert.throws(() => importKey(Buffer.alloc(31)), RangeError)
})
