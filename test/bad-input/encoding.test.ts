import { testEncoding } from "./encoding-suite.ts";
import { here } from "./target.ts";

testEncoding(here);
