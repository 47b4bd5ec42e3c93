//! The names of the signals.

use std::fmt;

macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident $upper:ident $text:literal,)*) => {
        /// A signal of the system.
        ///
        /// ```
        /// use ropewalk::reactor::Signal;
        ///
        /// assert_eq!(Signal::Hup.to_string(), "SIGHUP");
        /// assert_eq!(Signal::from_number(15), Some(Signal::Term));
        /// ```
        #[doc(alias = "SignalKind")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Signal {
            $($(#[$doc])* $name,)*
        }

        impl Signal {
            const ALL: &[Signal] = &[$(Signal::$name,)*];

            pub(crate) fn to_system(self) -> rustix::process::Signal {
                match self {
                    $(Signal::$name => rustix::process::Signal::$upper,)*
                }
            }
        }

        impl fmt::Display for Signal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Signal::$name => $text,)*
                })
            }
        }
    };
}

signals! {
    /// The terminal went away; by custom: read the configuration again.
    Hup HUP "SIGHUP",
    /// Ctrl-C.
    Int INT "SIGINT",
    /// Ctrl-\, which leaves a core file.
    Quit QUIT "SIGQUIT",
    /// Ends a process that does not listen; cannot be caught.
    Kill KILL "SIGKILL",
    /// Free for any use.
    Usr1 USR1 "SIGUSR1",
    /// Free for any use.
    Usr2 USR2 "SIGUSR2",
    /// Nobody reads what was written.
    Pipe PIPE "SIGPIPE",
    /// A timer of the system's rang.
    Alarm ALARM "SIGALRM",
    /// Please end.
    Term TERM "SIGTERM",
    /// A child has ended.
    Child CHILD "SIGCHLD",
    /// Go on.
    Cont CONT "SIGCONT",
    /// Stops a process until it is told to go on; cannot be caught.
    Stop STOP "SIGSTOP",
    /// Ctrl-Z.
    Tstp TSTP "SIGTSTP",
    /// A background process reads its terminal.
    Ttin TTIN "SIGTTIN",
    /// A background process writes to its terminal.
    Ttou TTOU "SIGTTOU",
    /// The terminal's window has another size.
    Winch WINCH "SIGWINCH",
}

impl Signal {
    /// The system's number for it.
    pub fn number(self) -> i32 {
        self.to_system().as_raw()
    }

    /// The signal of a number, if it is one of these.
    pub fn from_number(number: i32) -> Option<Signal> {
        Signal::ALL.iter().copied().find(|signal| signal.number() == number)
    }
}
