/** Suites that run against any backend. */
module org.kvm4j.conformance {
  requires org.kvm4j.cpu;
  requires org.kvm4j.ept;
  requires org.kvm4j.host;
  requires org.kvm4j.kvm;
  requires org.kvm4j.vmm;
  requires static org.jspecify;

  exports org.kvm4j.conformance;
}
