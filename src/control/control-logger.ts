/** The part of a pino logger that the control plane uses. */
export interface ControlLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
