/** Physical memory, paging structures, the two-dimensional walk, the TLB. */
module org.kvm4j.ept {
  requires org.kvm4j.machine;
  requires jdk.unsupported;
  requires static org.jspecify;

  exports org.kvm4j.ept.memory;
  exports org.kvm4j.ept.nested;
  exports org.kvm4j.ept.paging;
  exports org.kvm4j.ept.tlb;
  exports org.kvm4j.ept.walk;
}
