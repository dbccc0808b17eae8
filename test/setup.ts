import { Agent, setGlobalDispatcher } from "undici";

// Servers close idle connections after some seconds; on a busy machine a request could meet that moment.
setGlobalDispatcher(new Agent({ keepAliveTimeout: 500, keepAliveMaxTimeout: 500 }));
