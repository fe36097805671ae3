// sys/rekey*/… (without a token, raw answers) and sys/rotate/root|recovery/… (with a token, enveloped): one machinery, two families.
import { Buffer } from 'node:buffer'
import type { Lifecycle } from '../barrier/lifecycle.ts'
import type { RekeyBackup, RekeyDone, RekeyFamily, RekeyStatus, RekeyTarget, VerifyStatus } from '../barrier/rekey.ts'
import { decodeShare } from '../barrier/shares.ts'
import { bool, int, invalid, list, map, missing, type Operation, path, type Reply, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { rawJson } from './raw-json.ts'
import { changing } from './seal-keyring.ts'
import { type ShareInput, shareInput } from './share-input.ts'

const startInput = {
  secret_shares: int('Shares of the new key.').default(0),
  secret_threshold: int('Shares that will be needed.').default(0),
  pgp_keys: list('PGP public keys (base64), one per share.').default([]),
  backup: bool('Keep the PGP-encrypted shares in the store.').default(false),
  require_verification: bool('Change nothing until the new shares are proved.').default(false),
}
interface StartInput {
  readonly secret_shares: number
  readonly secret_threshold: number
  readonly pgp_keys: string[]
  readonly backup: boolean
  readonly require_verification: boolean
}
const statusFields = {
  nonce: str('Id of the attempt.'),
  started: bool('Whether one is under way.'),
  t: int('Shares that will be needed.'),
  n: int('Shares of the new key.'),
  progress: int('Shares given so far.'),
  required: int('Shares needed to go on.'),
  pgp_fingerprints: list('Fingerprints of the PGP keys.'),
  backup: bool('Whether PGP-encrypted shares are kept.'),
  verification_required: bool('Whether the new shares must be proved.'),
  verification_nonce: str('Id of the proof.'),
}
const doneFields = {
  ...statusFields,
  complete: bool('Whether the last share was given.'),
  keys: list('New shares, hex.'),
  keys_base64: list('New shares, base64.'),
}
const verifyFields = {
  nonce: statusFields.nonce,
  started: statusFields.started,
  t: statusFields.t,
  n: statusFields.n,
  progress: statusFields.progress,
  complete: bool('Whether all new shares needed were proved.'),
}

const wantedOf = (input: StartInput) => ({
  shares: input.secret_shares,
  threshold: input.secret_threshold,
  pgpKeys: input.pgp_keys,
  backup: input.backup,
  requireVerification: input.require_verification,
})

const doneBody = (done: RekeyDone, nonce: string) => ({
  nonce,
  complete: true,
  keys: done.keys.map((key) => key.toString('hex')),
  keys_base64: done.keys.map((key) => key.toString('base64')),
  pgp_fingerprints: done.fingerprints.length > 0 ? done.fingerprints : null,
  backup: done.backup,
  verification_required: done.verificationRequired,
  ...(done.verificationNonce !== '' && { verification_nonce: done.verificationNonce }),
})

/** The newer shape shows the id of the proof also where there is none. */
const rotatedBody = (done: RekeyDone, nonce: string) => ({
  ...doneBody(done, nonce),
  verification_nonce: done.verificationNonce,
})

const verifyBody = ({ started, nonce, threshold, shares, progress }: VerifyStatus) => ({
  nonce,
  started,
  t: threshold,
  n: shares,
  progress,
})

const backupBody = ({ nonce, keys }: RekeyBackup) => ({
  nonce,
  keys,
  keys_base64: Object.fromEntries(
    Object.entries(keys).map(([fingerprint, shares]) => [
      fingerprint,
      shares.map((share) => Buffer.from(share, 'hex').toString('base64')),
    ]),
  ),
})

/** The legacy shape always shows every key. */
const rekeyBody = (status: RekeyStatus) => ({
  nonce: status.nonce,
  started: status.started,
  t: status.threshold,
  n: status.shares,
  progress: status.progress,
  required: status.required,
  pgp_fingerprints: status.fingerprints.length > 0 ? status.fingerprints : null,
  backup: status.backup,
  verification_required: status.verificationRequired,
  ...(status.verificationNonce !== '' && { verification_nonce: status.verificationNonce }),
})

/** The newer shape shows what an attempt has only while there is one. */
const rotateBody = (status: RekeyStatus) => ({
  started: status.started,
  t: status.threshold,
  n: status.shares,
  required: status.required,
  ...(status.started && {
    nonce: status.nonce,
    progress: status.progress,
    verification_required: status.verificationRequired,
    verification_nonce: status.verificationNonce,
  }),
  ...(status.fingerprints.length > 0 && { pgp_fingerprints: status.fingerprints, backup: status.backup }),
})

/** The family that takes shares without a token; a listener may have it switched off. */
function withoutToken(lifecycle: Lifecycle, base: string, target: RekeyTarget): Operation[] {
  const { rekey } = lifecycle
  const family: RekeyFamily = 'rekey'
  const open = async (request: { listener: { disableUnauthedRekey: boolean } }): Promise<void> => {
    if (request.listener.disableUnauthedRekey) throw missing('unsupported path')
    const { initialized, recoverySeal } = await lifecycle.status()
    if (!initialized) throw invalid('server is not yet initialized')
    if (target === 'recovery' && !recoverySeal) throw invalid('recovery rekeying not supported')
  }
  const status = async () => rawJson(rekeyBody(await rekey.status(target)))
  const share = (key: string): Buffer => {
    if (key === '') throw invalid("'key' must be specified in request body as JSON")
    return decodeShare(key)
  }
  const init = path(`${base}/init`, {}, 'An attempt to make new shares.')
  const update = path(`${base}/update`, {}, 'Shares that prove the right to new ones.')
  const verify = path(`${base}/verify`, {}, 'Proof that the new shares arrived.')
  return [
    init.lifecycle('read', {
      summary: 'Read how far the attempt is.',
      output: statusFields,
      run: (_, request) => open(request).then(status),
    }),
    init.lifecycle('write', {
      summary: 'Begin an attempt.',
      input: startInput,
      output: statusFields,
      async run(input, request) {
        await open(request)
        await rekey.start(target, wantedOf(input), family)
        return status()
      },
    }),
    init.lifecycle('delete', {
      summary: 'Cancel the attempt.',
      async run(_, request) {
        await open(request)
        await rekey.cancel(target)
        return undefined
      },
    }),
    update.lifecycle('write', {
      summary: 'Give a present share; the last one needed makes the new ones.',
      input: shareInput,
      output: doneFields,
      async run({ key, nonce }, request) {
        await open(request)
        const done = await rekey.update(target, share(key), nonce, family)
        return done ? rawJson(doneBody(done, nonce)) : status()
      },
    }),
    verify.lifecycle('read', {
      summary: 'Read how far the proof is.',
      output: verifyFields,
      run: async (_, request) => {
        await open(request)
        return rawJson(verifyBody(await rekey.verifyStatus(target, family)))
      },
    }),
    verify.lifecycle('write', {
      summary: 'Prove a new share; the last one needed puts them in force.',
      input: shareInput,
      output: verifyFields,
      async run({ key, nonce }, request) {
        await open(request)
        const done = await rekey.verify(target, share(key), nonce, family)
        if (done !== undefined) return rawJson({ nonce: done, complete: true })
        return rawJson(verifyBody(await rekey.verifyStatus(target, family)))
      },
    }),
    verify.lifecycle('delete', {
      summary: 'Begin the proof again.',
      output: verifyFields,
      async run(_, request) {
        await open(request)
        return rawJson(verifyBody(await rekey.restartVerify(target, family)))
      },
    }),
  ]
}

function backupOperations(lifecycle: Lifecycle, pattern: string, target: RekeyTarget): Operation[] {
  const at = path(pattern, {}, 'PGP-encrypted shares kept in the store.')
  return [
    at.read({
      summary: 'Read the shares that were kept.',
      output: {
        nonce: statusFields.nonce,
        keys: map('Hex, by fingerprint.'),
        keys_base64: map('Base64, by fingerprint.'),
      },
      async run(_, context) {
        inRoot(context)
        return { data: backupBody(await lifecycle.rekey.backup(target)), flat: true }
      },
    }),
    at.delete({
      summary: 'Remove the shares that were kept.',
      stages: changing(async () => {
        await lifecycle.rekey.deleteBackup(target)
        return undefined
      }),
    }),
  ]
}

/** The family that is authorised by a token besides. */
function withToken(lifecycle: Lifecycle, base: string, target: RekeyTarget): Operation[] {
  const { rekey } = lifecycle
  const family: RekeyFamily = 'rotation'
  const status = async (): Promise<Reply> => ({ data: rotateBody(await rekey.status(target)) })
  const verifyStatus = async (): Promise<Reply> => ({ data: verifyBody(await rekey.verifyStatus(target, family)) })
  const checked = ({ key, nonce }: ShareInput): Buffer => {
    if (key === '') throw invalid("missing required field 'key'")
    if (nonce === '') throw invalid("missing required field 'nonce'")
    return decodeShare(key)
  }
  const init = path(`${base}/init`, {}, 'An attempt to make a new key.')
  const update = path(`${base}/update`, {}, 'Shares that prove the right to a new key.')
  const verify = path(`${base}/verify`, {}, 'Proof that the new shares arrived.')
  return [
    init.read({
      summary: 'Read how far the attempt is.',
      output: statusFields,
      run: (_, context) => {
        inRoot(context)
        return status()
      },
    }),
    init.write({
      summary: 'Begin an attempt.',
      input: startInput,
      output: doneFields,
      stages: changing(async (input: StartInput) => {
        const done = await rekey.start(target, wantedOf(input), family)
        if (!done) return status()
        const { secret_threshold: t, secret_shares: n } = input
        const { nonce: _, ...body } = rotatedBody(done, '')
        return { data: { ...body, t, n } }
      }),
    }),
    init.delete({
      summary: 'Cancel the attempt.',
      stages: changing(async () => {
        await rekey.cancel(target)
        return undefined
      }),
    }),
    update.write({
      summary: 'Give a present share; the last one needed makes the new key.',
      input: shareInput,
      output: doneFields,
      stages: changing(async (input: ShareInput) => {
        const done = await rekey.update(target, checked(input), input.nonce, family)
        return done ? { data: rotatedBody(done, input.nonce) } : status()
      }),
    }),
    verify.read({
      summary: 'Read how far the proof is.',
      output: verifyFields,
      run: (_, context) => {
        inRoot(context)
        return verifyStatus()
      },
    }),
    verify.write({
      summary: 'Prove a new share; the last one needed puts them in force.',
      input: shareInput,
      output: verifyFields,
      stages: changing(async (input: ShareInput) => {
        const done = await rekey.verify(target, checked(input), input.nonce, family)
        return done !== undefined ? { data: { complete: true, nonce: done } } : verifyStatus()
      }),
    }),
    verify.delete({
      summary: 'Begin the proof again.',
      output: verifyFields,
      stages: changing(async () => ({ data: verifyBody(await rekey.restartVerify(target, family)) })),
    }),
    ...backupOperations(lifecycle, `${base}/backup`, target),
  ]
}

/** Operations that make new shares, recovery keys or root keys. */
export const rekeyOperations = (lifecycle: Lifecycle): Operation[] => [
  ...withoutToken(lifecycle, 'rekey', 'root'),
  ...withoutToken(lifecycle, 'rekey-recovery-key', 'recovery'),
  ...backupOperations(lifecycle, 'rekey/backup', 'root'),
  ...backupOperations(lifecycle, 'rekey/recovery-key-backup', 'recovery'),
  ...withToken(lifecycle, 'rotate/root', 'root'),
  ...withToken(lifecycle, 'rotate/recovery', 'recovery'),
]
