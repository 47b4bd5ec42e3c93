//! What a description says of TLS: the files that a configuration is made of, when it is needed.

use super::arguments::Arguments;
use super::grammar::EndpointError;
use crate::failure::{Failure, Result};
use crate::net::connection::layer::Layer;
use crate::tls::{ClientConfig, Identity, ServerConfig};
use std::rc::Rc;

/// Keywords of a client's description.
pub(super) struct Keywords {
    certificate: &'static str,
    key: &'static str,
    roots: &'static str,
    /// The name to be verified; or else the host's.
    name: &'static str,
}

pub(super) const TLS: Keywords =
    Keywords { certificate: "certificate", key: "privateKey", roots: "trustRoots", name: "host" };
pub(super) const SSL: Keywords =
    Keywords { certificate: "certKey", key: "privateKey", roots: "caCertsDir", name: "hostname" };

/// A client's side of TLS.
#[derive(Clone, Debug)]
pub(super) enum ClientTls {
    Given(ClientConfig),
    Files {
        name: String,
        /// Files of this end's own certificates and their key.
        identity: Option<(String, String)>,
        /// A file of certificates, or a directory of such; the system's unless named.
        roots: Option<String>,
    },
}

impl ClientTls {
    pub(super) fn parse(
        arguments: &mut Arguments<'_>,
        keywords: &Keywords,
    ) -> std::result::Result<ClientTls, EndpointError> {
        let certificate = arguments.take(keywords.certificate).map(|word| word.text);
        let key = arguments.take(keywords.key);
        if let (None, Some(key)) = (&certificate, &key) {
            let problem = format!("a {} needs its {}", keywords.key, keywords.certificate);
            return Err(arguments.bad(key, problem));
        }
        // One file may hold both, as in Twisted.
        let both = |file: String| (file.clone(), key.map_or(file, |key| key.text));
        let identity = certificate.map(both);
        let roots = arguments.take(keywords.roots).map(|word| word.text);
        let name = match arguments.look(keywords.name) {
            Some(name) => name.text.clone(),
            None => arguments.look("host").map(|host| host.text.clone()).unwrap_or_default(),
        };
        Ok(ClientTls::Files { name, identity, roots })
    }

    pub(super) fn layer(&self) -> Result<Rc<dyn Layer>> {
        Ok(Rc::new(self.config()?))
    }

    fn config(&self) -> Result<ClientConfig> {
        let (name, identity, roots) = match self {
            ClientTls::Given(config) => return Ok(config.clone()),
            ClientTls::Files { name, identity, roots } => (name, identity, roots),
        };
        let config = match roots {
            Some(path) => ClientConfig::trusting_files(path)?,
            None => ClientConfig::new(),
        };
        let config = config.server_name(name);
        Ok(match identity {
            Some((certificates, key)) => config.identity(Identity::from_files(certificates, key)?),
            None => config,
        })
    }
}

/// A server's side of TLS.
#[derive(Clone, Debug)]
pub(super) enum ServerTls {
    Given(ServerConfig),
    Directory(String),
    Files {
        certificate: String,
        key: String,
        /// Those that vouch for the certificate, if they do not stand behind it.
        chain: Option<String>,
    },
}

impl ServerTls {
    /// The arguments of `ssl`.
    pub(super) fn parse(
        arguments: &mut Arguments<'_>,
    ) -> std::result::Result<ServerTls, EndpointError> {
        if let Some(parameters) = arguments.take("dhParameters") {
            let why =
                "keys are agreed upon by elliptic curves here, not by parameters: leave it out";
            return Err(arguments.bad(&parameters, why));
        }
        if let Some(method) = arguments.take("sslmethod")
            && !BEST_METHODS.contains(&&*method.text)
        {
            let why = "the best of TLS 1.2 and 1.3 is spoken, as TLS_METHOD has it: leave it out";
            return Err(arguments.bad(&method, why));
        }
        let mut file = |name| arguments.take(name).map(|word| word.text);
        let key = file("privateKey").unwrap_or_else(|| "server.pem".into());
        let certificate = file("certKey").unwrap_or_else(|| key.clone());
        Ok(ServerTls::Files { certificate, key, chain: file("extraCertChain") })
    }

    pub(super) fn config(&self) -> Result<ServerConfig> {
        match self {
            ServerTls::Given(config) => Ok(config.clone()),
            ServerTls::Directory(path) => Ok(ServerConfig::from_directory(path)),
            ServerTls::Files { certificate, key, chain: None } => {
                Ok(ServerConfig::new(Identity::from_files(certificate, key)?))
            }
            ServerTls::Files { certificate, key, chain: Some(chain) } => {
                let pem = [read(certificate)?, "\n".into(), read(chain)?].concat();
                let identity = Identity::from_pem(pem, read(key)?);
                let naming =
                    |failure| Failure::in_loop_msg(format!("{certificate}, {chain}: {failure}"));
                Ok(ServerConfig::new(identity.map_err(naming)?))
            }
        }
    }
}

/// OpenSSL's names for "whatever both ends know".
const BEST_METHODS: [&str; 4] = ["TLS_METHOD", "TLS_SERVER_METHOD", "SSLv23_METHOD", ""];

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::in_loop_msg(format!("cannot read {file}: {error}")))
}
