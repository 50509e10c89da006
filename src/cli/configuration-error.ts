import { StartError } from "../runtime/start-error.ts";

/** Nothing but another configuration helps: starting again does not. Exit code 78. */
export class ConfigurationError extends StartError {}
