//! Keys and certificates of one cluster: an authority for the cluster, one for etcd and one for web servers. Nothing here renews:
//! they are removed with the cluster.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::error::{At, Result};
use crate::paths::{self, Layout};

/// The first address of the service range: the apiserver's own Service.
const KUBERNETES_SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// A signing authority with its key in the cluster's folder.
pub(crate) struct Authority {
    certificate: PathBuf,
    key: KeyPair,
    common_name: &'static str,
}

/// The files of a certificate and of its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    fn of(layout: &Layout, name: &str) -> Self {
        Self { certificate: layout.pki(&format!("{name}.crt")), key: layout.pki(&format!("{name}.key")) }
    }
}

const CLUSTER: (&str, &str) = ("ca", "thinkube-test-cluster");
const ETCD: (&str, &str) = ("etcd-ca", "thinkube-test-cluster-etcd");
const WEB: (&str, &str) = ("web-ca", "thinkube-test-cluster-web");

/// A self-signed certificate for these names, and its key, as PEM.
pub fn self_signed(names: &[String]) -> Result<(String, String)> {
    let made = rcgen::generate_simple_self_signed(names)?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// Makes the keys and certificates that the servers read at their start.
pub(crate) fn make(layout: &Layout, address: IpAddr, node: Option<&str>) -> Result<()> {
    let cluster = Authority::create(layout, CLUSTER)?;
    cluster.server(
        layout,
        "apiserver",
        &[
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
        &[address, IpAddr::V4(Ipv4Addr::LOCALHOST), KUBERNETES_SERVICE],
    )?;
    cluster.client(layout, "admin", "thinkube-admin", &["system:masters"])?;
    cluster.client(layout, "controller-manager", "system:kube-controller-manager", &[])?;
    cluster.client(layout, "scheduler", "system:kube-scheduler", &[])?;
    cluster.client(layout, "apiserver-kubelet-client", "thinkube-apiserver", &["system:masters"])?;
    if let Some(node) = node {
        cluster.client(layout, "kube-proxy", "system:kube-proxy", &[])?;
        cluster.client(layout, "kubelet", &format!("system:node:{node}"), &["system:nodes"])?;
        cluster.server(layout, "kubelet-server", &[node], &[address])?;
    }

    // Its own authority: with the cluster's, every client certificate of the cluster would open the database.
    let etcd = Authority::create(layout, ETCD)?;
    etcd.server(layout, "etcd", &["localhost"], &[IpAddr::V4(Ipv4Addr::LOCALHOST)])?;
    etcd.client(layout, "apiserver-etcd-client", "kube-apiserver", &[])?;

    let tokens = KeyPair::generate()?;
    paths::write(&layout.pki("service-account.key"), tokens.serialize_pem())?;
    paths::write(&layout.pki("service-account.pub"), tokens.public_key_pem())
}

/// Makes the certificate of a web server, signed by the web authority. The first call makes the authority. A browser that trusts
/// it trusts no certificate of the cluster's authority.
pub(crate) fn web(layout: &Layout, file: &str, names: &[&str], addresses: &[IpAddr]) -> Result<()> {
    let authority = if layout.pki("web-ca.key").exists() {
        Authority::read(layout, WEB)?
    } else {
        Authority::create(layout, WEB)?
    };
    authority.server(layout, file, names, addresses).map(drop)
}

/// A client certificate of one of the harness's servers, which may do everything. Its name shows in the audit log.
pub(crate) fn trusted(layout: &Layout, name: &str) -> Result<Pair> {
    authority(layout)?.client(layout, name, &format!("thinkube-test:{name}"), &["system:masters"])
}

/// The pair that [`make`] wrote under this name.
pub(crate) fn pair(layout: &Layout, name: &str) -> Pair {
    Pair::of(layout, name)
}

/// The cluster's authority, to sign further clients.
pub(crate) fn authority(layout: &Layout) -> Result<Authority> {
    Authority::read(layout, CLUSTER)
}

impl Authority {
    fn read(layout: &Layout, (file, common_name): (&str, &'static str)) -> Result<Self> {
        let Pair { certificate, key } = Pair::of(layout, file);
        let pem = fs::read_to_string(&key).at(key)?;
        Ok(Self { certificate, key: KeyPair::from_pem(&pem)?, common_name })
    }

    fn create(layout: &Layout, (file, common_name): (&str, &'static str)) -> Result<Self> {
        let key = KeyPair::generate()?;
        let pair = Pair::of(layout, file);
        paths::write(&pair.certificate, Self::parameters(common_name).self_signed(&key)?.pem())?;
        paths::write(&pair.key, key.serialize_pem())?;
        Ok(Self { certificate: pair.certificate, key, common_name })
    }

    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    fn parameters(common_name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject(common_name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        parameters
    }

    /// A client certificate with the user's name and groups as Kubernetes reads them.
    pub(crate) fn client(&self, layout: &Layout, file: &str, user: &str, groups: &[&str]) -> Result<Pair> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject(user, groups);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(parameters, &Pair::of(layout, file))
    }

    fn server(&self, layout: &Layout, file: &str, names: &[&str], addresses: &[IpAddr]) -> Result<Pair> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names)?;
        parameters.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        parameters.distinguished_name = subject(file, &[]);
        // etcd's server connects to itself with the same certificate.
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(parameters, &Pair::of(layout, file))
    }

    fn sign(&self, mut parameters: CertificateParams, pair: &Pair) -> Result<Pair> {
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(Self::parameters(self.common_name), &self.key);
        let certificate = parameters.signed_by(&key, &issuer)?;
        paths::write(&pair.certificate, certificate.pem())?;
        paths::write(&pair.key, key.serialize_pem())?;
        Ok(pair.clone())
    }
}

fn subject(common_name: &str, organizations: &[&str]) -> DistinguishedName {
    // rcgen holds one value a type; the attribute's number counts as a second type.
    let types = [DnType::OrganizationName, DnType::CustomDnType(ORGANIZATION.to_vec())];
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    for (kind, organization) in types.into_iter().zip(organizations) {
        name.push(kind, *organization);
    }
    name
}

/// The attribute organizationName of X.520.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

/// The number of groups that a client certificate can name.
pub(crate) const MAX_GROUPS: usize = 2;
