//! In production: a unit for systemd, stops that lose nothing, new configuration and new programs, logs, and many
//! machines behind a balancer.
//!
//! All of this is the feature `runner`'s; programs of one's own have it by
//! `Application::run` or `application::runner::Runner`, and so has the program `ropewalk`, which stands in for
//! yours here.
//!
//! # A unit
//! `--unit` prints one, of the arguments that it was called with:
//!
//! ```text
//! ropewalk --unit echo --port tcp:7 >/etc/systemd/system/echo.service
//! systemctl daemon-reload && systemctl enable --now echo
//! ```
//! systemd is told when all services are ready, that it stops and how long that may take, and, while the loop
//! turns, that it does (`WatchdogSec=`): a loop that hangs is started anew. Do not `--daemonize` under systemd.
//!
//! * **Ports below 1024** are opened before privileges are given up: `--uid www-data`, as root; or `User=` with
//!   `AmbientCapabilities=CAP_NET_BIND_SERVICE`.
//! * **Socket units** hand sockets over by name: `--port systemd:INET:name=web` for `FileDescriptorName=web`.
//! * With `FileDescriptorStoreMax=` systemd **keeps the listening sockets** over a restart of the unit, also
//!   after a crash: who connects meanwhile waits, and is not refused.
//!
//! # A stop that loses nothing
//! SIGTERM drains: ports are closed (who waits in their backlog is accepted first), connections finish what is
//! under way, services stop in reverse, and the status is 0. Nobody is waited for beyond `--drain` seconds; who
//! was late is named in the log, and the status is then 143. A second SIGTERM waits for nobody.
//!
//! | who kills | after | say |
//! |---|---|---|
//! | systemd | 90 s, `TimeoutStopSec=` | the unit that is printed has `--drain` and 5 s |
//! | Kubernetes | 30 s, `terminationGracePeriodSeconds` | `--drain 25`, and a lame duck of 5 s: [`Drain`](crate::service::Drain) |
//! | docker stop | 10 s, `-t` | `--drain 8` |
//!
//! Behind a balancer the [lame duck](crate::service::Drain::lame_duck) comes first: for so long the program goes
//! on as before and says that it is not ready, so that the balancer looks elsewhere before a port closes.
//!
//! # Another configuration, another program
//! ```text
//! kill -HUP  $(cat /run/echo.pid)     # services read their configuration again; what is wrong changes nothing
//! kill -USR2 $(cat /run/echo.pid)     # the program of today takes the place of the one that runs
//! systemctl reload echo               # the first of these, with its outcome
//! ```
//! A restart in place starts the file under the name that the program was started by: replace it by renaming
//! (`install`, `mv`), not by writing into it. The new process has the same listening sockets; the old one drains
//! when it is ready. If it does not become ready within 60 s the old one goes on, and the log says why.
//!
//! | is not taken along | so |
//! |---|---|
//! | connections | the old process serves them to their end, within `--drain` |
//! | sockets for datagrams | at a fixed port the new one cannot have them: such a program is stopped and started |
//! | what root alone may read | after `--uid` a new key needs a restart by root |
//! | the file system outside of `--chroot` | the program has to lie there under the same name |
//!
//! # Logs
//! Standard error by default, which systemd collects; `--logfile` turns over at 10 MiB and keeps ten. With
//! logrotate say `--log-size 0`, and have it send a signal:
//!
//! ```text
//! /var/log/echo.log {
//!     daily
//!     rotate 14
//!     compress
//!     delaycompress
//!     postrotate
//!         kill -USR1 $(cat /run/echo.pid)
//!     endscript
//! }
//! ```
//! `--log-json` for machines. A full disk loses lines, which are counted, and nothing else; `--log-async` for
//! disks that are slow. What peers send is escaped.
//!
//! # What to watch
//! * The status of the process: 1, 77 and 78 are told by one line on standard error, and in the log.
//! * In the log: `#error` and above; `lines of this log were lost`; `not everything ended in time`.
//! * Descriptors: a port that runs out of them closes what waits, and says so once. `LimitNOFILE=` is for twice
//!   the connections that a proxy has.
//!
//! # Many machines
//! A balancer in front hides who connects, unless it says so: with `haproxy:` in front of an endpoint, each
//! connection begins with a PROXY header, and `peer` is who it names. Listen where only the balancer can reach it.
//!
//! ```text
//! # haproxy.cfg                                       # each machine
//! defaults                                            ropewalk echo --port haproxy:tcp:7007
//!     mode tcp
//!     timeout connect 5s
//!     timeout client 60s
//!     timeout server 60s
//! listen echo
//!     bind :7
//!     option tcp-check
//!     default-server check inter 1s fall 2 send-proxy-v2
//!     server one 10.0.0.1:7007
//!     server two 10.0.0.2:7007
//! ```
//! Envoy says it by `proxy_protocol_config` (`version: V2`) on its cluster. A check by connecting is enough to
//! see a machine that is gone, and a port that is closed by a drain; with a lame duck of two checks nobody is
//! sent to a machine that stops. Take machines one after the other: a restart in place needs no balancer at all.
//!
//! # Looking inside
//! A [`Console`](crate::application::console::Console) is one service more: at a Unix socket for this user
//! alone it lists services, connections, tasks and delayed calls with the places where they began, follows
//! the log, and closes, restarts, reloads and drains. `metrics` is text as Prometheus reads it
//! ([`Reactor::counters`](crate::Reactor::counters)).
//!
//! ```
//! use ropewalk::application::Application;
//! use ropewalk::application::console::Console;
//! use ropewalk::Reactor;
//! use std::time::Duration;
//!
//! let reactor = Reactor::new()?;
//! let application = Application::new("mail").add_service(Console::new("unix:/run/mail/console"));
//! // What blocks the loop is named while it does, by its peer or the place where it was spawned.
//! let watch = reactor.watch(Duration::from_millis(100), |slow| eprintln!("slow: {slow}"))?;
//! # let _ = (application, watch);
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! ```text
//! socat READLINE UNIX-CONNECT:/run/mail/console     help, connections, tasks, log -f, drain
//! echo metrics | socat - UNIX-CONNECT:/run/mail/console
//! ```
