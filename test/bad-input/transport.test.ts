import { here } from "./target.ts";
import { testTransport } from "./transport-suite.ts";

testTransport(here);
