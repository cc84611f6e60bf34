// app.js: what every page has: theme switch, menus and dialogs, copy buttons. Charts, live and tables are started by the pages that have them.
import * as theme from "./theme.js";
import * as menu from "./menu.js";
import * as copy from "./copy.js";

theme.start();
menu.start();
copy.start();
