/** Execution engines: interpreter, translator, code cache. */
@NullMarked
package org.kvm4j.cpu.engine;

import org.jspecify.annotations.NullMarked;
