// The audit room for those who use it: the broker, its devices and ports, the signing key, the verifier. Core knows `event.ts` alone.
export { type AuditHealth, type AuditRoom, auditBroker, type BrokerPorts, type Verification } from './broker.ts'
export type { Anchor, AuditAnchors } from './chain.ts'
export type { DeviceHealth } from './device.ts'
export type { AuditedHeaders } from './format.ts'
export { type AuditLimits, type AuditLogger, auditLimits } from './limits.ts'
export { commonOptions, type DeviceConfig, type DeviceSettings, deviceTypes, validateDevice } from './options.ts'
export { type AuditSigner, auditSigner, readPublicKeys } from './signer.ts'
export { type KnownAnchor, type LogInput, type VerifyOptions, type VerifyReport, verifyLog } from './verify.ts'
