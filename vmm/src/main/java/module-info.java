/** The reference VMM and its command line. */
module org.kvm4j.vmm {
  requires info.picocli;
  requires org.kvm4j.kvm;
  requires static org.jspecify;

  exports org.kvm4j.vmm;
  exports org.kvm4j.vmm.cli;

  opens org.kvm4j.vmm.cli to
      info.picocli;
}
