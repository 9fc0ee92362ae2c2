/** The reference VMM and its command line. */
module org.kvm4j.vmm {
  requires info.picocli;
  requires org.kvm4j.kvm;
  requires static org.jspecify;

  exports org.kvm4j.vmm;
  exports org.kvm4j.vmm.boot;
  exports org.kvm4j.vmm.cli;
  exports org.kvm4j.vmm.device;
  exports org.kvm4j.vmm.memory;
  exports org.kvm4j.vmm.pci;
  exports org.kvm4j.vmm.virtio;

  opens org.kvm4j.vmm.cli to
      info.picocli;
}
