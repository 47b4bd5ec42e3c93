//! Passes connections on to another endpoint.

use super::relay::relay;
use super::{Ports, at_least_one, client, ports};
use crate::application::runner::ServiceMaker;
use bpaf::{Parser, construct, long};

/// `portforward --port ENDPOINT --host ENDPOINT`: passes each connection on to another endpoint, both ways,
/// ends of one direction included.
///
/// ```
/// assert_eq!(ropewalk::application::commands::portforward().name(), "portforward");
/// ```
pub fn portforward() -> ServiceMaker {
    let port = ports();
    let host = long("host").help("Pass connections on to here").argument::<String>("ENDPOINT");
    let host = host.parse(|text| client(&text));
    let options = construct!(port, host);
    ServiceMaker::new(
        "portforward",
        "Pass connections on to another endpoint",
        options,
        |(at, to)| {
            Ok(Ports::new("portforward", at_least_one(at)?, move |up, at| {
                let to = to.clone();
                up.serve(at, async move |near| {
                    let far = near.reactor().open(&to).await?;
                    relay(near, far).await
                })
            }))
        },
    )
}
