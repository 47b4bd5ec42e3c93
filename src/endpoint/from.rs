//! What an endpoint can be made of, the same for both.

use super::{ClientEndpoint, ServerEndpoint};
use crate::address::{Address, UnixName};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

macro_rules! made_of {
    ($endpoint:ident, $text:literal) => {
        #[doc = $text]
        impl From<&str> for $endpoint {
            fn from(text: &str) -> $endpoint {
                $endpoint::read(text)
            }
        }

        #[doc = $text]
        impl From<String> for $endpoint {
            fn from(text: String) -> $endpoint {
                $endpoint::read(&text)
            }
        }

        #[doc = $text]
        impl From<&String> for $endpoint {
            fn from(text: &String) -> $endpoint {
                $endpoint::read(text)
            }
        }

        impl From<&$endpoint> for $endpoint {
            fn from(endpoint: &$endpoint) -> $endpoint {
                endpoint.clone()
            }
        }

        impl From<SocketAddr> for $endpoint {
            fn from(address: SocketAddr) -> $endpoint {
                $endpoint::tcp(address)
            }
        }

        /// The host is a name or an address, which needs no brackets.
        impl From<(&str, u16)> for $endpoint {
            fn from((host, port): (&str, u16)) -> $endpoint {
                match host.contains(':') && !host.starts_with('[') {
                    true => $endpoint::tcp(format_args!("[{host}]:{port}")),
                    false => $endpoint::tcp(format_args!("{host}:{port}")),
                }
            }
        }

        /// The host is a name or an address, which needs no brackets.
        impl From<(String, u16)> for $endpoint {
            fn from((host, port): (String, u16)) -> $endpoint {
                $endpoint::from((&*host, port))
            }
        }

        impl From<(IpAddr, u16)> for $endpoint {
            fn from(address: (IpAddr, u16)) -> $endpoint {
                $endpoint::tcp(SocketAddr::from(address))
            }
        }

        impl From<UnixName> for $endpoint {
            fn from(name: UnixName) -> $endpoint {
                $endpoint::unix(name)
            }
        }

        impl From<&Path> for $endpoint {
            fn from(path: &Path) -> $endpoint {
                $endpoint::unix(path)
            }
        }

        impl From<PathBuf> for $endpoint {
            fn from(path: PathBuf) -> $endpoint {
                $endpoint::unix(path)
            }
        }

        impl From<&PathBuf> for $endpoint {
            fn from(path: &PathBuf) -> $endpoint {
                $endpoint::unix(path)
            }
        }

        impl From<Address> for $endpoint {
            fn from(address: Address) -> $endpoint {
                $endpoint::from(&address)
            }
        }

        /// The address of a port or a peer; that of what has none is told by who uses it.
        impl From<&Address> for $endpoint {
            fn from(address: &Address) -> $endpoint {
                match address {
                    Address::Ip(address) => $endpoint::tcp(address),
                    Address::Unix(name) => $endpoint::unix(name.clone()),
                    Address::Pipe(name) => $endpoint::bad(name, "nobody else can reach that"),
                }
            }
        }
    };
}

made_of!(
    ServerEndpoint,
    "An address or a description, as [the module](crate::endpoint) has it; what is wrong is told by who uses it."
);
made_of!(
    ClientEndpoint,
    "An address or a description, as [the module](crate::endpoint) has it; what is wrong is told by who uses it."
);
