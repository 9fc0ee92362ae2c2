/**
 * The ACPI tables that tell a guest what the machine is made of, and a builder for the byte code in
 * them.
 */
@NullMarked
package org.kvm4j.vmm.acpi;

import org.jspecify.annotations.NullMarked;
